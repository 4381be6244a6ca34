/** Counts the target's transport faults: three in a row and calls go elsewhere first, until a poll finds it well again. */
import type { Reading } from '../../domain/reading.ts'
import { createBreaker } from './breaker.ts'
import type { FallbackPorts } from './settings.ts'

export interface TargetWatch {
  readonly isOpen: boolean
  start(): void
  stop(): void
  metric(): Reading
}

const OPEN = '1 while calls go to the fallback first, because the target failed three times in a row'

const transportFaults: ReadonlySet<string> = new Set(['away', 'lost', 'unreached'])

/** A watch that has seen nothing yet. */
export const createTargetWatch = ({ bus, target, clock, notice }: FallbackPorts): TargetWatch => {
  const breaker = createBreaker(clock, (isOpen) => {
    notice(isOpen ? 'warn' : 'info', isOpen ? 'breaker_opened' : 'breaker_closed', { of: 'target' })
  })
  const subscriptions: (() => void)[] = []
  return {
    get isOpen() {
      return breaker.isOpen
    },
    start() {
      subscriptions.push(
        bus.on('job_requeued', 'fallback', ({ outcome, isAside }) => {
          if (isAside === undefined && transportFaults.has(outcome)) breaker.fault()
        }),
        bus.on('job_done', 'fallback', ({ servedBy }) => {
          if (servedBy === undefined && !breaker.isOpen) breaker.well()
        }),
        // The poll is the trial: nobody's call is.
        target.onPolled(() => {
          if (breaker.isOpen && !breaker.isHeld) breaker.well()
        }),
      )
    },
    stop() {
      for (const end of subscriptions) end()
    },
    metric: () => breaker.metric('foreman_target_breaker_open', OPEN),
  }
}
