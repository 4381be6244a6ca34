/** Notices a target that is wedged although it answers (Ollama's own deadlock: wire document, 6.5), and cures it by unloading what is idle there; it must never unload what is in use. */
import type { Clock } from '../domain/clock.ts'
import type { Paces } from '../domain/job/eta.ts'
import type { Emit } from '../domain/job/events.ts'
import { residencyKey } from '../domain/wire/residency.ts'
import { askTarget } from './ask.ts'
import type { Look } from './look.ts'
import type { SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'

export interface HangsDeps {
  readonly target: SendTarget
  readonly state: TargetState
  readonly look: Look
  readonly paces: Pick<Paces, 'of'>
  /** Keeps jobs from beginning; resolves when none runs, with the function that lets them go on. */
  readonly hold: () => Promise<() => void>
  readonly clock: Clock
  readonly emit: Emit
}

export interface Hangs {
  /** A request that needs this model is on its way; the returned function says that it moves, or is over. */
  watch(canonicalModel: string): () => void
  stop(): void
}

// An Ollama that makes room does so within 5 s of the last request; a load of a known model is known to take so long.
const SILENT_MS = 30_000
const USUAL_TIMES = 3
const AGAIN_MS = 15_000
// Measured on a real server: an unload frees everything behind it within 8 s.
const UNLOAD_TIMEOUT_MS = 15_000

/** How long a request for this model may be silent without its model being loaded before anybody looks. */
const silentMs = ({ of }: Pick<Paces, 'of'>, model: string): number =>
  Math.max(SILENT_MS, USUAL_TIMES * (of(residencyKey(model, { options: {}, shift: undefined })).loadMs ?? 0))

/** The watch over one target. */
export const createHangs = (deps: HangsDeps): Hangs => {
  const { target, state, look, paces, clock, emit } = deps
  // Requests on their way by model: what one of them uses is not idle.
  const busy = new Map<string, number>()
  const waits = new Set<() => void>()
  let mostTogether = 0

  const use = (model: string, by: 1 | -1) => {
    const requests = (busy.get(model) ?? 0) + by
    if (requests === 0) busy.delete(model)
    else busy.set(model, requests)
  }

  const unload = async (name: string, forModel: string) => {
    const reason = `requests for ${forModel} hang behind ${name}, which is loaded and idle: it is being unloaded`
    emit({ event: 'target_hangs', model: forModel, message: reason })
    state.update({ hang: reason })
    const body = JSON.stringify({ model: name, keep_alive: 0 })
    const asked = await askTarget(target, '/api/generate', { body, wholeTimeoutMs: UNLOAD_TIMEOUT_MS })
    if (asked.kind === 'failed') emit({ event: 'loop_failed', loop: 'hangs', error: new Error(asked.message) })
  }

  /** Unloads what stands in the way, if it does: the target is full, the model is not there, and what is there is idle. */
  const examine = async (model: string) => {
    const residents = await look()
    if (residents === null) return
    mostTogether = Math.max(mostTogether, residents.length)
    if (residents.some(({ canonical }) => canonical === model)) return
    // With room left over a load that takes long is only a load that takes long.
    if (residents.length < mostTogether || residents.length === 0) return
    for (const { name, canonical } of residents) await makeRoom(name, canonical, model)
  }

  /** What is in use by our own jobs is let finish first, and nothing begins until the room is made: each new one would take it back. */
  const makeRoom = async (name: string, canonical: string, forModel: string) => {
    const release = busy.has(canonical) ? await deps.hold() : null
    try {
      if (!busy.has(canonical)) await unload(name, forModel)
    } finally {
      release?.()
    }
  }

  const watch = (model: string): (() => void) => {
    use(model, 1)
    mostTogether = Math.max(mostTogether, state.residency.residents.length)
    let cancel = () => {}
    const wait = (delayMs: number) => {
      cancel = clock.after(delayMs, () => {
        const failed = (error: unknown) => emit({ event: 'loop_failed', loop: 'hangs', error })
        void examine(model)
          .catch(failed)
          .then(() => waits.has(done) && wait(AGAIN_MS))
      })
    }
    const done = () => {
      if (!waits.delete(done)) return
      cancel()
      use(model, -1)
      if (waits.size === 0 && state.view.hang !== null) state.update({ hang: null })
    }
    waits.add(done)
    wait(silentMs(paces, model))
    return done
  }

  return {
    watch,
    stop() {
      for (const done of [...waits]) done()
    },
  }
}
