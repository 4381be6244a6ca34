/** The client of an open request as a caller of the queue: turns what the worker says into one HTTP response. */

import type { Clock } from '../../domain/clock.ts'
import { type Failure, failures, ollamaMessage } from '../../domain/job/failure.ts'
import type { Answer } from '../../domain/job/outcome.ts'
import type { Call } from '../../domain/wire/call.ts'
import { streamErrorBytes } from '../../domain/wire/stream-watch.ts'
import type { Caller } from '../../engine/caller.ts'
import { refusal } from '../refuse.ts'

export interface SyncCallerOptions {
  readonly jobId: string
  readonly call: Call
  readonly path: string
  readonly headers: Caller['headers']
  readonly body: Uint8Array
  /** Fires when the client's connection is gone. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly unreachableDeadlineMs: number
}

export interface SyncCaller extends Caller {
  /** Settles with the response once there is a first byte or a failure. It never rejects. */
  readonly answered: Promise<Response>
}

const NEWLINE = 0x0a
// What one slow client may hold in memory before the target is asked to wait.
const BUFFER_BYTES = 256 * 1024

/** Statuses that by definition carry no body. */
const isBodiless = (status: number): boolean => status === 204 || status === 304

/** A caller for one request. */
export const createSyncCaller = (options: SyncCallerOptions): SyncCaller => {
  const { call, jobId, signal, clock, unreachableDeadlineMs } = options
  const left = new AbortController()
  const cleanups: (() => void)[] = []
  let finished = false
  let queueMs = 0
  let impatientAtMs: number | null = null
  let stream: ReadableStreamDefaultController<Uint8Array> | null = null
  let drained: (() => void) | null = null
  let lastByte = NEWLINE
  let encoded = false
  let resolveAnswer: (response: Response) => void = () => undefined
  const answered = new Promise<Response>((resolve) => {
    resolveAnswer = resolve
  })

  const finish = () => {
    if (finished) return
    finished = true
    signal.removeEventListener('abort', leave)
    drained?.()
    for (const cleanup of cleanups) cleanup()
  }
  const leave = () => {
    if (finished) return
    left.abort()
    finish()
    // Nobody reads it; it only lets the handler end.
    resolveAnswer(new Response(null, { status: 499 }))
  }
  const own = (): [string, string][] => {
    const headers: [string, string][] = [['X-Foreman-Job-Id', jobId]]
    if (queueMs > 0) headers.push(['X-Foreman-Queue-Ms', String(queueMs)])
    return headers
  }
  const merged = (headers: Answer['headers']): [string, string][] => [
    ...headers.map(([name, value]): [string, string] => [name, value]),
    ...own(),
  ]
  const respond = (answer: Answer) => {
    const body = isBodiless(answer.status) ? null : answer.body
    // Built first: an answer that cannot be given must leave the caller free for another one.
    const response = new Response(body, { status: answer.status, headers: merged(answer.headers) })
    finish()
    resolveAnswer(response)
  }
  const open = (): ReadableStream<Uint8Array> =>
    new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          stream = controller
        },
        pull: () => drained?.(),
        cancel: leave,
      },
      { highWaterMark: BUFFER_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
    )

  if (signal.aborted) leave()
  else signal.addEventListener('abort', leave, { once: true })

  return {
    answered,
    call,
    path: options.path,
    headers: options.headers,
    body: options.body,
    left: left.signal,
    arrivedAtMs: clock.monotonicMs(),
    get committed() {
      return stream !== null
    },
    patienceUntil(now, outcome) {
      // Its own clock: a target that comes and goes cannot hold a caller for ever.
      if (outcome.kind === 'busy' || outcome.kind === 'unreached')
        impatientAtMs ??= clock.monotonicMs() + unreachableDeadlineMs
      return impatientAtMs === null ? null : now + (impatientAtMs - clock.monotonicMs())
    },
    working(waitedMs) {
      queueMs = waitedMs
    },
    begin(status, headers) {
      if (finished) return
      encoded = headers.some(([name]) => name.toLowerCase() === 'content-encoding')
      const body = open()
      resolveAnswer(new Response(body, { status, headers: merged(headers) }))
    },
    write(bytes) {
      if (finished || stream === null || bytes.length === 0) return
      lastByte = bytes[bytes.length - 1] ?? NEWLINE
      stream.enqueue(bytes)
      if ((stream.desiredSize ?? 0) > 0) return
      return new Promise<void>((resolve) => {
        drained = () => {
          drained = null
          resolve()
        }
      })
    },
    end() {
      if (finished || stream === null) return
      finish()
      stream.close()
    },
    answer: respond,
    fail(failure: Failure, answer: Answer | null, told: boolean) {
      if (finished) return
      if (stream !== null) {
        finish()
        const { flavour } = call.route
        // Words inside compressed bytes would be garbage: the connection is cut instead, which every client sees.
        if (encoded) return stream.error(new Error(failure.message))
        if (!told) stream.enqueue(streamErrorBytes(flavour, ollamaMessage(failure), lastByte === NEWLINE))
        stream.close()
        return
      }
      if (answer !== null) return respond(answer)
      finish()
      resolveAnswer(refusal(call.route.flavour, failures[failure.code].status, ollamaMessage(failure), own()))
    },
    onFinished(cleanup) {
      if (finished) cleanup()
      else cleanups.push(cleanup)
    },
    artifacts: () => [],
  }
}
