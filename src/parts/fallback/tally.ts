/** Counts the calls that went to the fallback: why, and what came of them. */
import type { Reading } from '../../domain/reading.ts'

/** asked: the call wanted no other. failed: the target's attempts were spent by its own faults. */
export type Reason = 'asked' | 'down' | 'failed' | 'unreachable'
/** unable: its client has seen nothing of it. broken: it ended after its first byte. */
export type Result = 'served' | 'unable' | 'broken'

/** Nothing is counted yet. */
export const createTally = () => {
  const counts = new Map<string, { readonly labels: { reason: Reason; result: Result }; value: number }>()
  return {
    count(reason: Reason, result: Result) {
      const key = `${reason} ${result}`
      const counted = counts.get(key) ?? { labels: { reason, result }, value: 0 }
      counts.set(key, counted)
      counted.value++
    },
    metric: (): Reading => ({
      name: 'foreman_fallback_calls_total',
      help: 'Calls given to the fallback since start, by why and by what came of it',
      type: 'counter',
      samples: [...counts.values()],
    }),
  }
}
