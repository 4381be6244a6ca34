/** GET /jobs/{id}/events: every transition and, while it runs, the native chunks, as server-sent events; it must never hold the job up. */
import type { Clock } from '../../domain/clock.ts'
import { isFinal } from '../../domain/job/job.ts'
import type { JobReader, StoredJob, StoredTransition } from '../../domain/job/reading.ts'
import { type Showing, webhookEvent } from '../../domain/job/webhook-event.ts'
import type { Chunks, FeedNews, Feeds } from './feed.ts'
import type { Pending } from './followers.ts'

export interface JobEventsDeps extends Showing {
  readonly reader: Pick<JobReader, 'find' | 'transitions' | 'listedArtifacts'>
  readonly feeds: Feeds
  readonly clock: Clock
  readonly pending: Pending
  /** Called once when the stream is over, whoever ended it. */
  readonly onEnd: () => void
}

// Proxies close what is silent for a minute or less.
const HEARTBEAT_MS = 15_000
// The queue's own mark; how much may wait is counted over all followers.
const QUEUE_BYTES = 1024 ** 2

const encoder = new TextEncoder()

/** What one follower is sent. */
class Outlet {
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null
  #dropped = 0
  readonly #pending: Pending

  constructor(pending: Pending) {
    this.#pending = pending
  }

  open(controller: ReadableStreamDefaultController<Uint8Array>) {
    this.#controller = controller
  }

  /** The reader took something. */
  taken() {
    this.#pending.now(QUEUE_BYTES - (this.#controller?.desiredSize ?? QUEUE_BYTES))
  }

  send(text: string) {
    this.#give(encoder.encode(text))
  }

  /** Chunks are left out for a reader that is behind, and counted. */
  chunks({ bytes, count }: Chunks) {
    if (this.#pending.isSlow()) this.#dropped += count
    else {
      this.tellDropped()
      this.#give(bytes)
    }
  }

  tellDropped() {
    if (this.#dropped > 0) this.send(`: ${this.#dropped} chunks were dropped because the reader is slow\n\n`)
    this.#dropped = 0
  }

  heartbeat() {
    if (!this.#pending.isSlow()) this.send(': still here\n\n')
  }

  close() {
    this.#controller?.close()
  }

  fail(error: unknown) {
    this.#controller?.error(error)
  }

  #give(bytes: Uint8Array) {
    this.#controller?.enqueue(bytes)
    this.taken()
  }
}

/** One follower of one job. */
class Follower {
  readonly #job: StoredJob
  readonly #deps: JobEventsDeps
  readonly #outlet: Outlet
  #seen: number
  #isOver = false
  #unlisten = () => {}
  #cancelHeartbeat = () => {}

  constructor(job: StoredJob, after: number, deps: JobEventsDeps) {
    this.#job = job
    this.#seen = after
    this.#deps = deps
    this.#outlet = new Outlet(deps.pending)
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>) {
    const { feeds, reader } = this.#deps
    this.#outlet.open(controller)
    this.#unlisten = feeds.listen(this.#job.id, (news) => this.#hear(news))
    this.#beat()
    this.#catchUp()
    if (this.#isOver) return
    const soFar = feeds.soFar(this.#job.id)
    if (soFar !== null) this.#outlet.chunks(soFar)
    const now = reader.find(this.#job.id)
    // It was final before this reader came, which has seen the last transition already.
    if (now === null || isFinal(now.state)) this.#finish()
  }

  taken() {
    this.#outlet.taken()
  }

  leave() {
    if (this.#isOver) return
    this.#isOver = true
    this.#unlisten()
    this.#cancelHeartbeat()
    this.#deps.pending.leave()
    this.#deps.onEnd()
  }

  #finish() {
    this.leave()
    this.#outlet.close()
  }

  #beat() {
    this.#outlet.heartbeat()
    this.#cancelHeartbeat = this.#deps.clock.after(HEARTBEAT_MS, () => this.#beat())
  }

  #hear(news: FeedNews) {
    try {
      if (news.kind === 'chunks') this.#outlet.chunks(news)
      else if (news.kind === 'changed') this.#catchUp()
      else this.#finish()
    } catch (error) {
      // The news comes from the worker: what fails here is this reader's loss alone.
      this.leave()
      this.#outlet.fail(error)
    }
  }

  #catchUp() {
    for (const transition of this.#deps.reader.transitions(this.#job.seq, this.#seen)) {
      // It comes back with the number of the last one it was sent, and misses nothing.
      if (this.#deps.pending.isLost()) return this.#finish()
      this.#seen = transition.sequence
      this.#outlet.tellDropped()
      this.#outlet.send(this.#frame(transition))
      if (isFinal(transition.state)) return this.#finish()
    }
  }

  #frame(transition: StoredTransition): string {
    const { reader, inlineMaxBytes } = this.#deps
    const artifacts = isFinal(transition.state) ? reader.listedArtifacts(this.#job.seq, inlineMaxBytes) : []
    const { artifacts: _, ...event } = webhookEvent(this.#job, transition, artifacts, this.#deps)
    return `event: transition\nid: ${transition.sequence}\ndata: ${JSON.stringify(event)}\n\n`
  }
}

/** The events of one job after the transition with sequence `after`; the stream ends with the final one. */
export const jobEvents = (job: StoredJob, after: number, deps: JobEventsDeps): ReadableStream<Uint8Array> => {
  const follower = new Follower(job, after, deps)
  return new ReadableStream<Uint8Array>(
    { start: (controller) => follower.start(controller), pull: () => follower.taken(), cancel: () => follower.leave() },
    { highWaterMark: QUEUE_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
  )
}
