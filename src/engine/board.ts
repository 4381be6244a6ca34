/** Tells whoever looks at a job that something happened to it; it keeps nothing, the database does. */

/** What a listener hears: a committed change of the job, a chunk of its running answer, or that foreman stops. */
export type JobNews =
  | { readonly kind: 'changed' }
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'closed' }

export interface Board {
  /** `listener` hears of this job until the returned function is called. */
  listen(jobId: string, listener: (news: JobNews) => void): () => void
  post(jobId: string, news: JobNews): void
  /** Sends everybody away, now and from now on. */
  close(): void
  readonly listeners: number
}

/** A board with nobody looking. */
export const createBoard = (): Board => {
  let isClosed = false
  const boards = new Map<string, Set<(news: JobNews) => void>>()
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
    post(jobId, news) {
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
