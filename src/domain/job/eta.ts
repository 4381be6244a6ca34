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
  readonly isLoading: boolean
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

/** What is left of a job on a slot, its load and its work, or null when nobody knows. */
export const leftMs = (
  { isLoading, elapsedMs }: Omit<Running, 'jobId' | 'key'>,
  { jobMs, loadMs }: Pace,
): number | null => {
  if (jobMs === null) return null
  if (!isLoading) return Math.max(0, jobMs - elapsedMs)
  return loadMs === null ? null : Math.max(0, loadMs - elapsedMs) + jobMs
}

/** When `jobs` of equal length are done on slots that come free at these times: each goes to the one that is free first. */
const doneMs = (freeMs: readonly number[], jobs: number, jobMs: number): number => {
  // Whole rounds need not be counted one by one: all slots move on together.
  const rounds = Math.max(0, Math.floor(jobs / freeMs.length) - 1)
  const free = freeMs.map((ms) => ms + rounds * jobMs)
  let last = 0
  for (let left = jobs - rounds * freeMs.length; left > 0; left--) {
    const at = free.indexOf(Math.min(...free))
    last = (free[at] ?? 0) + jobMs
    free[at] = last
  }
  return last
}

/** When each slot of the running key comes free, in milliseconds from now; null when nobody knows. */
const freeTimes = ({ running, slotsOf }: Ahead, paceOf: (key: string) => Pace): number[] | null => {
  const [first] = running
  const slots = first === undefined ? 1 : Math.max(running.length, slotsOf(first.key))
  const free = Array.from({ length: slots }, () => 0)
  for (const [slot, job] of running.entries()) {
    const ms = leftMs(job, paceOf(job.key))
    if (ms === null) return null
    free[slot] = ms
  }
  return free
}

/** Seconds until the job is done, or null when a pace on the way is unknown. */
export const etaSeconds = (ahead: Ahead, paceOf: (key: string) => Pace): number | null => {
  const { running, slotsOf, residentKeys } = ahead
  const [first] = running
  let free = freeTimes(ahead, paceOf)
  if (free === null) return null
  let resident: ReadonlySet<string> = new Set(first === undefined ? residentKeys : [...residentKeys, first.key])
  let activeKey = first?.key ?? null
  let doneAtMs = 0
  for (const { residencyKey, jobs } of inOrder(ahead, resident)) {
    const { jobMs, loadMs } = paceOf(residencyKey)
    const needsLoad = !resident.has(residencyKey)
    if (jobMs === null || (needsLoad && loadMs === null)) return null
    // Another key begins when the slots are empty.
    const emptyMs: number = Math.max(...free, doneAtMs) + (needsLoad ? (loadMs ?? 0) : 0)
    if (residencyKey !== activeKey)
      free = Array.from({ length: Math.max(1, slotsOf(residencyKey)) }, (): number => emptyMs)
    if (needsLoad) resident = new Set([residencyKey])
    activeKey = residencyKey
    doneAtMs = doneMs(free, jobs, jobMs)
  }
  return Math.ceil(doneAtMs / 1_000)
}
