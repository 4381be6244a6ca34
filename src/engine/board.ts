/** Tells whoever looks at a job that something happened to it; it keeps nothing but the running answer, the database does. */

/** What a listener hears: a committed change of the job, a chunk of its running answer, or that foreman stops. */
export type JobNews =
  | { readonly kind: 'changed' }
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'closed' }

export interface Board {
  /** `listener` hears of this job until the returned function is called. */
  listen(jobId: string, listener: (news: JobNews) => void): () => void
  post(jobId: string, news: JobNews): void
  /** The chunks of the running attempt so far, for one who comes late; empty when they are too many to keep. */
  soFar(jobId: string): readonly Uint8Array[]
  /** Sends everybody away, now and from now on. */
  close(): void
  readonly listeners: number
}

// One job runs at a time. A longer answer is not replayed: its reader gets the whole from the job when it is done.
const KEPT_MAX_BYTES = 1024 ** 2

/** A board with nobody looking. */
export const createBoard = (): Board => {
  let isClosed = false
  const boards = new Map<string, Set<(news: JobNews) => void>>()
  let running: { jobId: string; chunks: Uint8Array[]; bytes: number } | null = null
  const keep = (jobId: string, news: JobNews) => {
    if (news.kind === 'chunk') {
      if (running?.jobId !== jobId) running = { jobId, chunks: [], bytes: 0 }
      running.bytes += news.bytes.length
      if (running.bytes <= KEPT_MAX_BYTES) running.chunks.push(news.bytes)
      else running.chunks = []
    } else if (running?.jobId === jobId) running = null
  }
  return {
    listen(jobId, listener) {
      const listeners = boards.get(jobId) ?? new Set()
      listeners.add(listener)
      boards.set(jobId, listeners)
      if (isClosed) queueMicrotask(() => listeners.has(listener) && listener({ kind: 'closed' }))
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) boards.delete(jobId)
      }
    },
    soFar: (jobId) => (running?.jobId === jobId ? running.chunks : []),
    post(jobId, news) {
      keep(jobId, news)
      for (const listener of [...(boards.get(jobId) ?? [])]) listener(news)
    },
    close() {
      isClosed = true
      for (const listeners of [...boards.values()]) for (const listener of [...listeners]) listener({ kind: 'closed' })
    },
    get listeners() {
      return boards.size
    },
  }
}
