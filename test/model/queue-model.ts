/** What the queue is, said a second time in plain arrays: the oracle of the model test; it must share no code with the queue. */

export interface ModelJob {
  readonly id: string
  readonly kind: string
  readonly key: string
  readonly maxAttempts: number
  readonly createdAt: number
  state: string
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

/** A model of a queue that takes `maxQueue` waiting jobs. */
export const createQueueModel = (maxQueue: number) => {
  const jobs: ModelJob[] = []
  const queued = () => jobs.filter(({ state }) => state === 'queued')
  const ready = () => queued().filter(({ notBefore }) => notBefore === null)
  const held = (id: string, attempt: number) => jobs.find((j) => j.id === id && j.attempt === attempt && isActive(j))
  const enter = (job: ModelJob, state: string) => Object.assign(job, { state, notBefore: null })
  return {
    jobs,
    queued,
    ready,
    active: () => jobs.find(isActive),
    submit(job: Pick<ModelJob, 'id' | 'kind' | 'key' | 'maxAttempts' | 'createdAt'>): boolean {
      if (queued().length >= maxQueue) return false
      jobs.push({ ...job, state: 'queued', attempt: 0, deferrals: 0, notBefore: null })
      return true
    },
    /** The job that is next, now on the worker; undefined when none is ready. */
    claim(now: number, loaded: string | null, preferred: string | null, agedBefore: number | null) {
      for (const job of queued()) if (job.notBefore !== null && job.notBefore <= now) job.notBefore = null
      const [oldest, ...others] = ready()
      const isAged = oldest !== undefined && agedBefore !== null && oldest.createdAt <= agedBefore
      const next = isAged ? oldest : ([oldest, ...others].find((job) => job?.key === preferred) ?? oldest)
      if (next !== undefined) Object.assign(next, { state: next.key === loaded ? 'working' : 'loading' }).attempt++
      return next
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
    recover() {
      const unfinished = jobs.filter((job) => isActive(job) || job.state === 'queued')
      const abandoned = unfinished.filter(({ kind }) => kind === 'sync').map((job) => enter(job, 'failed')).length
      const interrupted = jobs.filter(isActive)
      const spent = interrupted.filter((job) => job.attempt >= job.maxAttempts)
      const exhausted = spent.map((job) => enter(job, 'failed')).length
      const requeued = jobs.filter(isActive).map((job) => enter(job, 'queued')).length
      return { abandoned, exhausted, requeued }
    },
  }
}

export type QueueModel = ReturnType<typeof createQueueModel>
