/** What the manager tells: the engine, whether to work with the target; the log, what it did; a person, what is wrong; it must never decide. */
import type { Clock } from '../../domain/clock.ts'
import type { PartPorts } from '../../engine/part.ts'
import type { Trouble } from './trouble.ts'

export interface Restart extends Trouble {
  /** On the ladder, from 1. */
  readonly attempt: number
  readonly tookMs: number
  readonly pid: number | null
}

type TellPorts = Pick<PartPorts<unknown>, 'notice' | 'alarm' | 'happened'> & {
  readonly target: Pick<PartPorts<unknown>['target'], 'declareDown'>
  readonly clock: Pick<Clock, 'now' | 'monotonicMs' | 'wallAt'>
}

// More than so many in an hour are for a person to know of.
const OFTEN = 3

const fieldsOf = ({ cause, evidence, attempt, tookMs, pid }: Restart) => ({
  cause,
  evidence,
  took_ms: Math.round(tookMs),
  attempt,
  ...(pid !== null && { pid }),
})

const span = (ms: number): string =>
  ms < 90_000 ? `${Math.max(0, Math.round(ms / 1_000))} s` : `${Math.round(ms / 60_000)} min`

export const createTold = ({ notice, alarm, happened, target, clock }: TellPorts) => {
  let restarts = 0
  // What is looked at again and again is told once.
  let said = ''
  const at = (ms: number) => `${new Date(clock.wallAt?.(ms) ?? ms).toISOString().slice(0, 19)}Z`
  let last: (Restart & { readonly isOk: boolean }) | null = null
  const resolve = (...names: readonly string[]) => {
    for (const name of names) alarm(name, null)
  }
  return {
    get count() {
      return restarts
    },
    get lastRestart() {
      return last
    },
    begun(how: string, pid: number | null) {
      notice('info', how === 'started' ? 'ollama_started' : 'ollama_taken_up', pid === null ? {} : { pid })
    },
    running() {
      resolve('down', 'quarantine', 'conflict', 'missing')
      said = ''
      // It is asked at once, also where nobody had said that it is down.
      target.declareDown(null)
    },
    recovered() {
      notice('info', 'ollama_recovered', {})
    },
    /** It did its work for somebody. */
    works() {
      resolve('needs_restart')
    },
    fails({ cause, evidence }: Trouble, { isQuarantined, atMs }: { isQuarantined: boolean; atMs: number }) {
      notice('warn', 'ollama_down', { cause, evidence })
      const inMs = atMs - clock.monotonicMs()
      const what = `Ollama is down (${cause}): ${evidence}`
      const next = `it is left alone for a while, the next try is at ${at(clock.now() + inMs)}`
      target.declareDown(isQuarantined ? `${what}; ${next}` : `${what}; it is being restarted`)
      // Back within the second is no news for a person but the restart itself.
      if (inMs > 0) alarm('down', what)
      if (isQuarantined) alarm('quarantine', `${what}; ${next}`)
    },
    /** That may take hours: callers and a person know why nothing happens. */
    waitsForTransfer({ cause, evidence }: Trouble) {
      const words = `Ollama is down (${cause}): ${evidence}; it is restarted when the transfer of a model is over`
      target.declareDown(words)
      alarm('down', words)
    },
    restarted(restart: Restart) {
      restarts++
      last = { ...restart, isOk: true }
      notice('warn', 'ollama_restarted', fieldsOf(restart))
      happened(
        'restarted',
        `Ollama was restarted (${restart.cause}): ${restart.evidence}; it took ${span(restart.tookMs)}`,
      )
    },
    restartFailed(restart: Restart) {
      restarts++
      last = { ...restart, isOk: false }
      notice('error', 'ollama_restart_failed', fieldsOf(restart))
    },
    /** How many there were within the last hour. */
    restarts(lately: number) {
      alarm('restarts', lately > OFTEN ? `Ollama was restarted ${lately} times within an hour` : null)
    },
    cannot(kind: string, words: string) {
      if (words !== said) notice('error', `ollama_${kind}`, { message: words })
      said = words
      alarm(kind, words)
      if (kind === 'down') target.declareDown(words)
      // Where somebody else's server is, it is worked with, whoever that is.
      else if (kind === 'conflict') target.declareDown(null)
    },
    needsRestart(words: string) {
      notice('error', 'ollama_needs_restart', { message: words })
      alarm('needs_restart', words)
    },
  }
}

export type Told = ReturnType<typeof createTold>
