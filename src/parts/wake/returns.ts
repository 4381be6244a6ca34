/** Tells a target that was woken from one that came back by itself. */
import type { Reading } from '../../domain/reading.ts'
import type { WakePorts } from './settings.ts'

// From the packet to an Ollama that answers: a desktop takes 10 to 60 s, a cold one with a slow disk more.
const WOKEN_WITHIN_MS = 120_000

/** Nothing has been sent yet. */
export const createReturns = ({ notice }: WakePorts) => {
  const counts = { bursts: 0, woken: 0, itself: 0 }
  let firstMs: number | null = null
  let lastMs = Number.NEGATIVE_INFINITY
  let bursts = 0
  return {
    tried(nowMs: number) {
      counts.bursts++
      bursts++
      firstMs ??= nowMs
      lastMs = nowMs
    },
    cameBack(nowMs: number) {
      const isWoken = firstMs !== null && nowMs - lastMs <= WOKEN_WITHIN_MS
      if (isWoken) notice('info', 'target_woken', { after_ms: Math.round(nowMs - (firstMs ?? nowMs)), bursts })
      counts[isWoken ? 'woken' : 'itself']++
      firstMs = null
      bursts = 0
    },
    metrics: (): Reading[] => [
      {
        name: 'foreman_wake_bursts_total',
        help: 'Bursts of magic packets sent since start',
        type: 'counter',
        samples: [{ value: counts.bursts }],
      },
      {
        name: 'foreman_target_returns_total',
        help: 'Returns of the target since start: woken, or by itself',
        type: 'counter',
        samples: [
          { value: counts.woken, labels: { by: 'wake' } },
          { value: counts.itself, labels: { by: 'itself' } },
        ],
      },
    ],
  }
}
