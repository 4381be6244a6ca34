/** What is known of the fallback: whether it may be asked, how often it helped and why, and what a person should hear of it. */
import type { Failure } from '../../domain/job/failure.ts'
import type { Outcome } from '../../domain/job/outcome.ts'
import type { Reading } from '../../domain/reading.ts'
import type { Call } from '../../domain/wire/call.ts'
import type { Fact } from '../../engine/part.ts'
import { createBreaker } from './breaker.ts'
import type { FallbackPorts } from './settings.ts'
import { createShare } from './share.ts'
import { createTally, type Reason, type Result } from './tally.ts'

// Where it says that it is busy but not for how long.
const BUSY_MS = 5_000
const BUSY_MAX_MS = 60_000

const OPEN = '1 while the fallback is not asked, or only on trial, because it failed three times in a row'

/** A connection that failed, or something else at its address. */
const isFault = (outcome: Outcome): boolean =>
  outcome.kind === 'unreached' ||
  outcome.kind === 'lost' ||
  (outcome.kind === 'away' && !outcome.isThere) ||
  (outcome.kind === 'broken' && outcome.cut === true)

const wordsOf = (outcome: Outcome): string => {
  if (outcome.kind === 'unreached' || outcome.kind === 'away' || outcome.kind === 'refused') return outcome.message
  if (outcome.kind === 'broken') return outcome.failure.message
  return outcome.kind === 'busy' ? 'it is busy' : outcome.kind
}

const resultOf = (outcome: Outcome, committed: boolean): Result => {
  if (outcome.kind === 'done' || outcome.kind === 'refused') return 'served'
  return committed ? 'broken' : 'unable'
}

/** Nobody waited for these any more, or foreman stopped: they say nothing about the fallback. */
const isNobodys = ({ kind }: Outcome): boolean => kind === 'left' || kind === 'expired' || kind === 'stopped'

/** The account of one fallback. */
export const createAccount = (ports: FallbackPorts, origin: string) => {
  const { clock, notice, alarm, bus, target } = ports
  const share = createShare(clock)
  const tally = createTally()
  const subscriptions: (() => void)[] = []
  let busyUntilMs = 0

  const breaker = createBreaker(clock, (isOpen) => {
    notice(isOpen ? 'warn' : 'info', isOpen ? 'breaker_opened' : 'breaker_closed', { of: 'fallback' })
    alarm('unusable', isOpen ? `the fallback ${origin} failed three times in a row` : null)
  })

  const judgeShare = () => {
    const { calls, byFallback } = share.now()
    const words = `the fallback ${origin} answered ${byFallback} of the last ${calls} calls of ten minutes`
    alarm('share', share.isHigh ? words : null)
  }
  const reasonOf = (why: Failure | null): Reason => {
    if (why === null) return 'asked'
    if (target.view().down !== null) return 'down'
    return why.code === 'unreachable' || why.code === 'not_ollama' ? 'unreachable' : 'failed'
  }
  const hear = (outcome: Outcome) => {
    if (isFault(outcome)) breaker.fault()
    else if (!isNobodys(outcome) && outcome.kind !== 'timeout') breaker.well()
    if (outcome.kind !== 'busy') return
    busyUntilMs = clock.monotonicMs() + Math.min(outcome.retryAfterMs ?? BUSY_MS, BUSY_MAX_MS)
  }

  return {
    mayAsk: () => !breaker.isHeld && clock.monotonicMs() >= busyUntilMs,
    /** A call goes there; the returned function is told how that ended. */
    begin(call: Call, model: string, why: Failure | null) {
      const reason = reasonOf(why)
      const beganMs = clock.monotonicMs()
      return (outcome: Outcome, committed: boolean) => {
        if (isNobodys(outcome)) return
        hear(outcome)
        const result = resultOf(outcome, committed)
        tally.count(reason, result)
        const elapsed_ms = Math.round(clock.monotonicMs() - beganMs)
        const fields = { model: call.model, served_model: model, reason, elapsed_ms }
        if (result === 'served') notice('info', 'fallback_served', fields)
        else notice('warn', `fallback_${result}`, { ...fields, message: wordsOf(outcome) })
        // Who asked for it is not a sign that the target fails.
        if (result !== 'served' || reason === 'asked') return
        share.add(true)
        judgeShare()
      }
    },
    start() {
      subscriptions.push(
        bus.on('job_done', 'fallback', ({ kind, servedBy }) => {
          if (kind !== 'sync' || servedBy !== undefined) return
          share.add(false)
          judgeShare()
        }),
        target.onPolled(judgeShare),
      )
    },
    stop() {
      for (const end of subscriptions) end()
    },
    status() {
      const { calls, byFallback } = share.now()
      return { breaker: breaker.isOpen ? 'open' : 'closed', calls_10m: calls, by_fallback_10m: byFallback }
    },
    fact(): Fact {
      const { calls, byFallback } = share.now()
      const value = calls === 0 ? 0 : Math.round((byFallback / calls) * 1_000) / 1_000
      return { value, reason: `it answered ${byFallback} of the ${calls} calls of the last ten minutes` }
    },
    metrics: (): Reading[] => [tally.metric(), share.metric(), breaker.metric('foreman_fallback_breaker_open', OPEN)],
  }
}
