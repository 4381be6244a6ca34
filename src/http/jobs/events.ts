/** GET /jobs/{id}/events: every transition and, while it runs, the native chunks, as server-sent events; it must never hold the job up. */
import type { Clock } from '../../domain/clock.ts'
import { isFinal } from '../../domain/job/job.ts'
import type { JobReader, StoredJob, StoredTransition } from '../../domain/job/reading.ts'
import { type Showing, webhookEvent } from '../../domain/job/webhook-event.ts'
import { createLineCutter } from '../../domain/wire/lines.ts'
import type { Board, JobNews } from '../../engine/board.ts'

export interface JobEventsDeps extends Showing {
  readonly reader: Pick<JobReader, 'find' | 'transitions' | 'listedArtifacts'>
  readonly board: Pick<Board, 'listen' | 'soFar'>
  readonly clock: Clock
  /** Called once when the stream is over, whoever ended it. */
  readonly onEnd: () => void
}

// Proxies close what is silent for a minute or less.
const HEARTBEAT_MS = 15_000
// What a slow reader may hold in memory: above it chunks are dropped, transitions never.
const PENDING_MAX_BYTES = 1024 ** 2

const encoder = new TextEncoder()

const chunkFrame = (line: string) => `event: chunk\ndata: ${line}\n\n`

/** The events of one job after the transition with sequence `after`; the stream ends with the final one. */
export const jobEvents = (job: StoredJob, after: number, deps: JobEventsDeps): ReadableStream<Uint8Array> => {
  const { reader, board, clock } = deps
  const cutter = createLineCutter()
  let seen = after
  let dropped = 0
  let end = () => {}

  const transitionFrame = (transition: StoredTransition): string => {
    const artifacts = isFinal(transition.state) ? reader.listedArtifacts(job.seq, deps.inlineMaxBytes) : []
    const { artifacts: _, ...event } = webhookEvent(job, transition, artifacts, deps)
    return `event: transition\nid: ${transition.sequence}\ndata: ${JSON.stringify(event)}\n\n`
  }

  const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    let cancelHeartbeat = () => {}
    let isLive = false
    let isOver = false
    const send = (text: string) => controller.enqueue(encoder.encode(text))
    const isSlow = () => (controller.desiredSize ?? 0) <= 0

    const tellDropped = () => {
      if (dropped > 0) send(`: ${dropped} chunks were dropped because the reader is slow\n\n`)
      dropped = 0
    }
    const passLines = (lines: readonly string[]) => {
      if (lines.length === 0) return
      if (isSlow()) {
        dropped += lines.length
        return
      }
      tellDropped()
      send(lines.map(chunkFrame).join(''))
    }
    const finish = () => {
      isOver = true
      end()
      controller.close()
    }
    const catchUp = () => {
      for (const transition of reader.transitions(job.seq, seen)) {
        seen = transition.sequence
        // Another attempt starts its answer afresh.
        if (isLive) passLines(cutter.end())
        tellDropped()
        send(transitionFrame(transition))
        if (isFinal(transition.state)) return finish()
      }
    }
    const beat = () => {
      if (!isSlow()) send(': still here\n\n')
      cancelHeartbeat = clock.after(HEARTBEAT_MS, beat)
    }
    const hear = (news: JobNews) => {
      try {
        if (news.kind === 'chunk') passLines(cutter.cut(news.bytes))
        else if (news.kind === 'changed') catchUp()
        else finish()
      } catch (error) {
        // The news comes from the worker: what fails here is this reader's loss alone.
        end()
        controller.error(error)
      }
    }
    const unlisten = board.listen(job.id, hear)
    end = () => {
      unlisten()
      cancelHeartbeat()
      deps.onEnd()
    }
    beat()
    catchUp()
    isLive = true
    if (!isOver) for (const bytes of board.soFar(job.id)) passLines(cutter.cut(bytes))
    const now = isOver ? null : reader.find(job.id)
    // It was final before this reader came, which has seen the last transition already.
    if (!isOver && (now === null || isFinal(now.state))) finish()
  }

  return new ReadableStream<Uint8Array>(
    { start, cancel: () => end() },
    { highWaterMark: PENDING_MAX_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
  )
}
