/** When a waiting job may start and end, from what its model's jobs took lately and the swaps ahead; null rather than a guess. */

/** What one residency key's jobs and loads took lately, in milliseconds. */
export interface Pace {
  readonly jobMs: number | null
  readonly loadMs: number | null
}

export interface Paces {
  jobTook(key: string, ms: number): void
  loadTook(key: string, ms: number): void
  of(key: string): Pace
}

// The last few weigh most: models are swapped, prompts change, and an average over a week tells nothing about now.
const WEIGHT = 0.3
const KEYS_MAX = 200

const blend = (old: number | null, ms: number): number => (old === null ? ms : old + WEIGHT * (ms - old))

/** An empty record; it forgets the key that was silent longest when it knows too many. */
export const createPaces = (): Paces => {
  const paces = new Map<string, Pace>()
  const put = (key: string, pace: Pace) => {
    paces.delete(key)
    paces.set(key, pace)
    const [oldest] = paces.keys()
    if (paces.size > KEYS_MAX && oldest !== undefined) paces.delete(oldest)
  }
  const of = (key: string): Pace => paces.get(key) ?? { jobMs: null, loadMs: null }
  return {
    of,
    jobTook: (key, ms) => put(key, { ...of(key), jobMs: blend(of(key).jobMs, ms) }),
    loadTook: (key, ms) => put(key, { ...of(key), loadMs: blend(of(key).loadMs, ms) }),
  }
}

/** What stands between now and the job's end. */
export interface Ahead {
  /** The job's own key. */
  readonly key: string
  readonly residentKey: string | null
  /** Older waiting jobs by key; those of the job's own key included. */
  readonly waiting: readonly { readonly residencyKey: string; readonly jobs: number }[]
  /** The job on the worker. */
  readonly running: { readonly key: string; readonly elapsedMs: number } | null
}

/** Seconds until the job is done, or null when a pace on the way is unknown. */
export const etaSeconds = (ahead: Ahead, paceOf: (key: string) => Pace): number | null => {
  let totalMs = 0
  let loaded = ahead.running?.key ?? ahead.residentKey
  if (ahead.running !== null) {
    const { jobMs } = paceOf(ahead.running.key)
    if (jobMs === null) return null
    totalMs += Math.max(0, jobMs - ahead.running.elapsedMs)
  }
  // The loaded key's jobs are drained first, as the worker will do it.
  const order = [...ahead.waiting].sort((a, b) => Number(b.residencyKey === loaded) - Number(a.residencyKey === loaded))
  const groups = [
    ...order.filter((g) => g.residencyKey !== ahead.key),
    { residencyKey: ahead.key, jobs: ownJobs(ahead) + 1 },
  ]
  // Jobs of other keys wait behind ours when ours is the loaded one.
  const before = ahead.key === loaded ? groups.slice(-1) : groups
  for (const { residencyKey, jobs } of before) {
    const { jobMs, loadMs } = paceOf(residencyKey)
    if (jobMs === null) return null
    if (residencyKey !== loaded) {
      if (loadMs === null) return null
      totalMs += loadMs
      loaded = residencyKey
    }
    totalMs += jobs * jobMs
  }
  return Math.ceil(totalMs / 1_000)
}

const ownJobs = ({ waiting, key }: Ahead): number => waiting.find((g) => g.residencyKey === key)?.jobs ?? 0
