/** The client of an open request as a caller of the queue: turns what its job says into one HTTP response. */
import type { Clock } from '../../domain/clock.ts'
import { type Failure, failures, ollamaMessage } from '../../domain/job/failure.ts'
import type { Answer } from '../../domain/job/outcome.ts'
import { Stop, type StopSignal } from '../../domain/stop-signal.ts'
import type { Call } from '../../domain/wire/call.ts'
import { type HeaderPairs, headerOf } from '../../domain/wire/headers.ts'
import { isStream, streamErrorBytes } from '../../domain/wire/stream-watch.ts'
import type { Caller } from '../../engine/caller.ts'
import type { Patience } from '../../engine/patience.ts'
import { eventHeaders, refusal } from '../refuse.ts'
import { type ClientStream, createClientStream } from './client-stream.ts'

export interface SyncCallerOptions {
  /** Null: a call past the queue. */
  readonly jobId: string | null
  readonly call: Call
  readonly path: string
  readonly headers: Caller['headers']
  readonly body: Uint8Array
  readonly bodyAsSent?: Uint8Array | undefined
  /** The name of the client's token. */
  readonly client?: string | null
  /** Headers that say who answers, where somebody else than the target may. */
  readonly marks?: HeaderPairs
  /** Fires when the client's connection is gone. */
  readonly signal: AbortSignal
  readonly patience: Patience
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** Statuses that by definition carry no body. */
const isBodiless = (status: number): boolean => status === 204 || status === 304

const QUEUE_MS = 'x-foreman-queue-ms'
const MODEL = 'x-foreman-model'

/**
 * An answer that may be another foreman's: of its own headers it keeps the model that answered in the end, its wait is added to this one's, and
 * the rest is said here.
 */
const withMarks = (answered: [string, string][], own: [string, string][], marks: HeaderPairs): [string, string][] => {
  const innerMs = Number(headerOf(answered, QUEUE_MS)) || 0
  const ownMs = Number(headerOf(own, QUEUE_MS)) || 0
  const model = headerOf(answered, MODEL)
  const said = new Set([...own, ...marks].map(([name]) => name.toLowerCase()).concat(QUEUE_MS))
  const kept = answered.filter(([name]) => !said.has(name.toLowerCase()))
  const ms: [string, string][] = ownMs + innerMs > 0 ? [['X-Foreman-Queue-Ms', String(ownMs + innerMs)]] : []
  const marked = marks.map(([name, value]): [string, string] => [
    name,
    name.toLowerCase() === MODEL && model !== '' ? model : value,
  ])
  return [...kept, ...own.filter(([name]) => name.toLowerCase() !== QUEUE_MS), ...ms, ...marked]
}

/** A caller for one request. */
export class SyncCaller implements Caller {
  readonly call: Call
  readonly path: string
  readonly headers: Caller['headers']
  readonly body: Uint8Array
  readonly bodyAsSent: Uint8Array | undefined
  readonly client: string | null
  readonly arrivedAtMs: number
  readonly patience: Patience
  /** Settles with the response once there is a first byte or a failure. It never rejects. */
  readonly answered: Promise<Response>
  /** Null: it has no job, or not yet. */
  jobId: string | null
  #marks: HeaderPairs
  readonly #signal: AbortSignal
  readonly #left = new Stop()
  readonly #cleanups: (() => void)[] = []
  readonly #leave = () => this.#clientLeft()
  #resolve: (response: Response) => void = () => undefined
  #isFinished = false
  #queueMs = 0
  #stream: ClientStream | null = null
  #takesWords = true

  constructor(options: SyncCallerOptions) {
    const { jobId, call, path, headers, body, bodyAsSent, client, marks, signal, patience, clock } = options
    this.call = call
    this.path = path
    this.headers = headers
    this.body = body
    this.bodyAsSent = bodyAsSent
    this.client = client ?? null
    this.#marks = marks ?? []
    this.patience = patience
    this.arrivedAtMs = clock.monotonicMs()
    this.jobId = jobId
    this.#signal = signal
    this.answered = new Promise((resolve) => {
      this.#resolve = resolve
    })
    if (signal.aborted) this.#clientLeft()
    else signal.addEventListener('abort', this.#leave, { once: true })
  }

  get left(): StopSignal {
    return this.#left
  }

  get committed(): boolean {
    return this.#stream !== null
  }

  working(queueMs: number): void {
    this.#queueMs = queueMs
  }

  mark(headers: HeaderPairs): void {
    const said = new Set(headers.map(([name]) => name.toLowerCase()))
    this.#marks = [...this.#marks.filter(([name]) => !said.has(name.toLowerCase())), ...headers]
  }

  begin(status: number, headers: Answer['headers']): void {
    if (this.#isFinished) return
    this.#takesWords = isStream(headerOf(headers, 'content-type')) && headerOf(headers, 'content-encoding') === ''
    // Built first, as in `answer`: nothing is committed by a head that cannot be given.
    const stream = createClientStream(this.#leave)
    const response = new Response(stream.readable, { status, headers: this.#withOwn(headers) })
    this.#stream = stream
    this.#resolve(response)
  }

  write(bytes: Uint8Array): void | Promise<void> {
    if (!this.#isFinished) return this.#stream?.write(bytes)
  }

  end(): void {
    if (this.#isFinished || this.#stream === null) return
    this.#finish()
    this.#stream.close()
  }

  answer({ status, headers, body }: Answer): void {
    // Built first: an answer that cannot be given must leave the caller free for another one.
    const response = new Response(isBodiless(status) ? null : body, { status, headers: this.#withOwn(headers) })
    this.#finish()
    this.#resolve(response)
  }

  fail(failure: Failure, answer: Answer | null, told: boolean): void {
    if (this.#isFinished) return
    if (this.#stream !== null) {
      this.#breakOff(this.#stream, failure, told)
      return
    }
    if (answer !== null) {
      this.answer(answer)
      return
    }
    this.#finish()
    const { status } = failures[failure.code]
    const { route, stream } = this.call
    const headers = [...eventHeaders(route.flavour, stream), ...this.#own()]
    this.#resolve(refusal(route.flavour, status, ollamaMessage(failure), headers))
  }

  onFinished(cleanup: () => void): void {
    if (this.#isFinished) cleanup()
    else this.#cleanups.push(cleanup)
  }

  artifacts(): readonly [] {
    return []
  }

  /** Words inside compressed bytes or a single JSON would be garbage: the connection is cut instead, which every client sees. */
  #breakOff(stream: ClientStream, failure: Failure, told: boolean): void {
    this.#finish()
    if (!this.#takesWords) {
      stream.cut(failure.message)
      return
    }
    const { flavour } = this.call.route
    if (!told) void stream.write(streamErrorBytes(flavour, ollamaMessage(failure), stream.isAtLineStart))
    stream.close()
  }

  #clientLeft(): void {
    if (this.#isFinished) return
    this.#left.abort()
    this.#finish()
    // Nobody reads it; it only lets the handler end.
    this.#resolve(new Response(null, { status: 499 }))
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#signal.removeEventListener('abort', this.#leave)
    this.#stream?.release()
    // Nobody keeps the time for one who has gone.
    this.patience.present()
    for (const cleanup of this.#cleanups) cleanup()
  }

  #own(): [string, string][] {
    const headers: [string, string][] = this.jobId === null ? [] : [['X-Foreman-Job-Id', this.jobId]]
    if (this.#queueMs > 0) headers.push(['X-Foreman-Queue-Ms', String(this.#queueMs)])
    return headers
  }

  #withOwn(headers: Answer['headers']): [string, string][] {
    const all = headers.map(([name, value]): [string, string] => [name, value])
    if (this.#marks.length === 0) return [...all, ...this.#own()]
    return withMarks(all, this.#own(), this.#marks)
  }
}
