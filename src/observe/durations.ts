/** A histogram of seconds that costs an addition for each: it is made text only when somebody asks. */

export interface Durations {
  observe(seconds: number): void
  /** Prometheus text. */
  text(): string
}

/** `bounds` in growing order. */
export const createDurations = (name: `foreman_${string}`, help: string, bounds: readonly number[]): Durations => {
  // How many were in each and in none of those before it.
  const counts = new Array<number>(bounds.length + 1).fill(0)
  let sum = 0
  return {
    observe(seconds) {
      let at = 0
      while (at < bounds.length && seconds > (bounds[at] ?? 0)) at++
      counts[at] = (counts[at] ?? 0) + 1
      sum += seconds
    },
    text() {
      let total = 0
      const buckets = counts.map((count, at) => {
        total += count
        return `${name}_bucket{le="${bounds[at] ?? '+Inf'}"} ${total}\n`
      })
      return `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${buckets.join('')}${name}_sum ${sum}\n${name}_count ${total}\n`
    },
  }
}
