/** Tells whoever looks at a job that something happened to it; it keeps nothing, the database does. */

/** What a listener hears: a committed change of the job, or a chunk of its running answer. */
export type JobNews = { readonly kind: 'changed' } | { readonly kind: 'chunk'; readonly bytes: Uint8Array }

export interface Board {
  /** `listener` hears of this job until the returned function is called. */
  listen(jobId: string, listener: (news: JobNews) => void): () => void
  post(jobId: string, news: JobNews): void
  readonly listeners: number
}

/** A board with nobody looking. */
export const createBoard = (): Board => {
  const boards = new Map<string, Set<(news: JobNews) => void>>()
  return {
    listen(jobId, listener) {
      const listeners = boards.get(jobId) ?? new Set()
      listeners.add(listener)
      boards.set(jobId, listeners)
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) boards.delete(jobId)
      }
    },
    post(jobId, news) {
      for (const listener of [...(boards.get(jobId) ?? [])]) listener(news)
    },
    get listeners() {
      return boards.size
    },
  }
}
