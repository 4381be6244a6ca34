/** What the queue is, said a second time in plain arrays: the oracle of the model test; it must share no code with the queue. */

export interface ModelJob {
  readonly id: string
  readonly kind: string
  readonly key: string
  readonly maxAttempts: number
  readonly createdAt: number
  state: string
  /** A call has none before its first attempt. */
  hasRow: boolean
  slot: number | null
  attempt: number
  deferrals: number
  notBefore: number | null
}

export interface ModelVerdict {
  readonly to: string
  readonly attemptReturned?: boolean
  readonly deferred?: boolean
  readonly notBefore?: number | null
}

const isActive = ({ state }: ModelJob) => state === 'loading' || state === 'working'

export interface ModelClaim {
  readonly now: number
  readonly slot: number
  readonly activeKey: string | null
  readonly residentKeys: readonly string[]
  readonly loadedKeys: readonly string[]
  readonly agedBefore: number | null
}

/** A model of a queue that takes `maxQueue` waiting jobs and runs `slots` at once. */
export const createQueueModel = (maxQueue: number, slots: number) => {
  const jobs: ModelJob[] = []
  const queued = () => jobs.filter(({ state }) => state === 'queued')
  const ready = () => queued().filter(({ notBefore }) => notBefore === null)
  const held = (id: string, attempt: number) => jobs.find((j) => j.id === id && j.attempt === attempt && isActive(j))
  const active = () => jobs.filter(isActive)
  const enter = (job: ModelJob, state: string) => Object.assign(job, { state, notBefore: null, slot: null })
  const nextOf = ({ now, residentKeys, agedBefore }: ModelClaim) => {
    const due = queued().filter(({ notBefore }) => notBefore === null || notBefore <= now)
    const [oldest] = due
    if (oldest !== undefined && agedBefore !== null && oldest.createdAt <= agedBefore) return oldest
    const resident = residentKeys.flatMap((wanted) => due.find(({ key }) => key === wanted) ?? [])
    return resident[0] ?? oldest
  }
  return {
    jobs,
    queued,
    ready,
    active,
    stored: () => jobs.filter(({ hasRow }) => hasRow),
    submit(job: Pick<ModelJob, 'id' | 'kind' | 'key' | 'maxAttempts' | 'createdAt'>): boolean {
      if (queued().length >= maxQueue) return false
      jobs.push({
        ...job,
        hasRow: job.kind === 'async',
        state: 'queued',
        slot: null,
        attempt: 0,
        deferrals: 0,
        notBefore: null,
      })
      return true
    },
    /** The job that is next, now in its slot; or why there is none. `refused`: the rules of the database forbid it, and nothing changes. */
    claim(query: ModelClaim): ModelJob | 'idle' | 'held' | 'refused' {
      const { now, slot, activeKey, loadedKeys } = query
      const next = nextOf(query)
      const isHeld = next !== undefined && activeKey !== null && next.key !== activeKey
      const isFree = slot < slots && active().every((job) => job.slot !== slot && job.key === next?.key)
      if (next !== undefined && !isHeld && !isFree) return 'refused'
      for (const job of queued()) if (job.notBefore !== null && job.notBefore <= now) job.notBefore = null
      if (next === undefined) return 'idle'
      if (isHeld) return 'held'
      const state = loadedKeys.includes(next.key) ? 'working' : 'loading'
      return Object.assign(next, { state, hasRow: true, slot, attempt: next.attempt + 1 })
    },
    advance(id: string, attempt: number): boolean {
      const job = held(id, attempt)
      if (job?.state !== 'loading') return false
      job.state = 'working'
      return true
    },
    settle(id: string, attempt: number, verdict: ModelVerdict): boolean | 'illegal' {
      const job = held(id, attempt)
      if (job === undefined) return false
      if (verdict.to === 'done' && job.state === 'loading') return 'illegal'
      enter(job, verdict.to)
      if (verdict.attemptReturned) job.attempt--
      if (verdict.deferred) job.deferrals++
      job.notBefore = verdict.notBefore ?? null
      return true
    },
    withdraw(id: string, to: string): boolean {
      const job = queued().find((j) => j.id === id)
      if (job !== undefined) enter(job, to)
      return job !== undefined
    },
    /** Jobs in a slot that are not among these go back, or end where they cannot. */
    release(running: readonly string[]): number {
      const stranded = active().filter(({ id }) => !running.includes(id))
      for (const job of stranded)
        enter(job, job.kind === 'sync' || job.attempt >= job.maxAttempts ? 'failed' : 'queued')
      return stranded.length
    },
    recover() {
      // What was in memory alone is gone with its clients.
      for (const job of queued()) if (!job.hasRow) enter(job, 'gone')
      const unfinished = jobs.filter((job) => isActive(job) || job.state === 'queued')
      const abandoned = unfinished.filter(({ kind }) => kind === 'sync').map((job) => enter(job, 'failed')).length
      const spent = active().filter((job) => job.attempt >= job.maxAttempts)
      const exhausted = spent.map((job) => enter(job, 'failed')).length
      const requeued = active().map((job) => enter(job, 'queued')).length
      return { abandoned, exhausted, requeued }
    },
  }
}

export type QueueModel = ReturnType<typeof createQueueModel>
