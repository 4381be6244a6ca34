/** What the followers of one job hear, cut and encoded once for all of them: a thousand readers cost one copy of a chunk, not a thousand. */
import { createLineCutter } from '../../domain/wire/lines.ts'
import type { Board, JobNews } from '../../engine/board.ts'

/** Some whole chunks of the running answer, as they are sent. */
export interface Chunks {
  readonly bytes: Uint8Array
  readonly count: number
}

export type FeedNews =
  | ({ readonly kind: 'chunks' } & Chunks)
  | { readonly kind: 'changed' }
  | { readonly kind: 'closed' }

export interface Feeds {
  /** `listener` hears of this job until the returned function is called; whole lines only, whenever it comes. */
  listen(jobId: string, listener: (news: FeedNews) => void): () => void
  /** The running attempt's whole lines so far; null when there are none. */
  soFar(jobId: string): Chunks | null
}

const encoder = new TextEncoder()

const chunksOf = (lines: readonly string[]): Chunks | null =>
  lines.length === 0
    ? null
    : { bytes: encoder.encode(lines.map((line) => `event: chunk\ndata: ${line}\n\n`).join('')), count: lines.length }

interface Feed {
  readonly listeners: Set<(news: FeedNews) => void>
  readonly unlisten: () => void
}

/** The feeds of one foreman: each lives while somebody listens. */
export const createFeeds = (board: Pick<Board, 'listen' | 'soFar'>): Feeds => {
  const feeds = new Map<string, Feed>()

  const open = (jobId: string): Feed => {
    const listeners = new Set<(news: FeedNews) => void>()
    const cutter = createLineCutter()
    const tell = (news: FeedNews) => {
      for (const listener of [...listeners]) listener(news)
    }
    const tellLines = (lines: readonly string[]) => {
      const chunks = chunksOf(lines)
      if (chunks !== null) tell({ kind: 'chunks', ...chunks })
    }
    const hear = (news: JobNews) => {
      if (news.kind === 'chunk') return tellLines(cutter.cut(news.bytes))
      // Another attempt starts its answer afresh.
      tellLines(cutter.end())
      tell(news)
    }
    // Whoever listens has these lines from `soFar`; what is cut off at their end belongs to the next one.
    for (const bytes of board.soFar(jobId)) cutter.cut(bytes)
    const feed = { listeners, unlisten: board.listen(jobId, hear) }
    feeds.set(jobId, feed)
    return feed
  }

  return {
    soFar(jobId) {
      const cutter = createLineCutter()
      return chunksOf(board.soFar(jobId).flatMap((bytes) => cutter.cut(bytes)))
    },
    listen(jobId, listener) {
      const feed = feeds.get(jobId) ?? open(jobId)
      feed.listeners.add(listener)
      return () => {
        feed.listeners.delete(listener)
        if (feed.listeners.size > 0 || feeds.get(jobId) !== feed) return
        feed.unlisten()
        feeds.delete(jobId)
      }
    },
  }
}
