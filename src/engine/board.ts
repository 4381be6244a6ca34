/** Tells whoever looks at a job that something happened to it; it keeps nothing but the running answers, the database does. */

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

// A longer answer is not replayed: its reader gets the whole from the job when it is done.
const KEPT_MAX_BYTES = 1024 ** 2
// As many answers run side by side as there are slots, 64 at most; one whose end was never posted must not stay for ever.
const ANSWERS_MAX = 64

interface Answer {
  chunks: Uint8Array[]
  bytes: number
}

/** The answers that are being made just now. */
const createAnswers = () => {
  const answers = new Map<string, Answer>()
  return {
    add(jobId: string, bytes: Uint8Array) {
      const answer = answers.get(jobId) ?? { chunks: [], bytes: 0 }
      answers.set(jobId, answer)
      answer.bytes += bytes.length
      if (answer.bytes <= KEPT_MAX_BYTES) answer.chunks.push(bytes)
      else answer.chunks = []
      const [oldest] = answers.keys()
      if (answers.size > ANSWERS_MAX && oldest !== undefined) answers.delete(oldest)
    },
    end: (jobId: string) => void answers.delete(jobId),
    of: (jobId: string): readonly Uint8Array[] => answers.get(jobId)?.chunks ?? [],
  }
}

/** A board with nobody looking. */
export const createBoard = (): Board => {
  let isClosed = false
  const boards = new Map<string, Set<(news: JobNews) => void>>()
  const answers = createAnswers()
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
    soFar: answers.of,
    post(jobId, news) {
      if (news.kind === 'chunk') answers.add(jobId, news.bytes)
      else answers.end(jobId)
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
