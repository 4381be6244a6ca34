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

/** A job on a slot: its key, and how long its load or its work has lasted. */
export interface Running {
  readonly jobId: string
  readonly key: string
  readonly elapsedMs: number
}

/** What stands between now and the job's end. */
export interface Ahead {
  /** The job's own key. */
  readonly key: string
  /** Keys that need no load. */
  readonly residentKeys: readonly string[]
  /** Older waiting jobs by key; those of the job's own key included. */
  readonly waiting: readonly { readonly residencyKey: string; readonly jobs: number }[]
  /** The jobs on the slots; they share one key. */
  readonly running: readonly Running[]
  /** How many jobs of a key run side by side. */
  readonly slotsOf: (key: string) => number
}

type Group = Ahead['waiting'][number]

/** The key's own jobs come last; those of resident keys go before all others, and others wait when the own key is resident. */
const inOrder = ({ key, waiting }: Ahead, resident: ReadonlySet<string>): Group[] => {
  const others = waiting.filter(({ residencyKey }) => residencyKey !== key)
  const first = others.filter(({ residencyKey }) => resident.has(residencyKey))
  const rest = resident.has(key) ? [] : others.filter(({ residencyKey }) => !resident.has(residencyKey))
  const own = waiting.find(({ residencyKey }) => residencyKey === key)?.jobs ?? 0
  return [...first, ...rest, { residencyKey: key, jobs: own + 1 }]
}

/** Milliseconds until the slots are free, or null when nobody knows. */
const runningMs = (running: readonly Running[], paceOf: (key: string) => Pace): number | null => {
  let longestMs = 0
  for (const { key, elapsedMs } of running) {
    const { jobMs } = paceOf(key)
    if (jobMs === null) return null
    longestMs = Math.max(longestMs, jobMs - elapsedMs)
  }
  return longestMs
}

/** Seconds until the job is done, or null when a pace on the way is unknown. */
export const etaSeconds = (ahead: Ahead, paceOf: (key: string) => Pace): number | null => {
  const { running, slotsOf } = ahead
  let totalMs = runningMs(running, paceOf)
  if (totalMs === null) return null
  const [first] = running
  let resident: ReadonlySet<string> = new Set(
    first === undefined ? ahead.residentKeys : [...ahead.residentKeys, first.key],
  )
  for (const { residencyKey, jobs } of inOrder(ahead, resident)) {
    const { jobMs, loadMs } = paceOf(residencyKey)
    if (jobMs === null) return null
    if (!resident.has(residencyKey)) {
      if (loadMs === null) return null
      totalMs += loadMs
      resident = new Set([residencyKey])
    }
    totalMs += Math.ceil(jobs / Math.max(1, slotsOf(residencyKey))) * jobMs
  }
  return Math.ceil(totalMs / 1_000)
}
