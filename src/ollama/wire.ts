/** The words in which the target client speaks: requests, replies and why there is none. Types only; it must never hold behaviour. */
import type { StopSignal } from '../domain/stop-signal.ts'
import type { HeaderPairs } from '../domain/wire/headers.ts'

export type { HeaderPairs } from '../domain/wire/headers.ts'

/** A request as it should reach the target. Host, framing and Connection are the client's business and must not be in `headers`. */
export interface TargetRequest {
  method: string
  /** Path and query exactly as the caller's client sent them; a path prefix of the target URL is put in front. */
  path: string
  headers: HeaderPairs
  body: Uint8Array | ReadableStream<Uint8Array> | null
  /** Length of a streamed body when it is known: it then travels with Content-Length instead of chunked. */
  bodyBytes?: number | undefined
}

/** How one request is to be sent. */
export interface SendOptions {
  /** Aborting closes the socket at once, in any phase; the reply is then `aborted`. */
  signal?: StopSignal | undefined
  /** True: may take an idle socket and gives its own back. False: a fresh socket, `Connection: close`, never pooled. */
  reuse: boolean
  /** Longest wait for the last byte once connected. None by default: a target may be silent for many minutes and be well. */
  wholeTimeoutMs?: number | undefined
  /** Longest wait for TCP and TLS to be up, 5000 by default. */
  connectTimeoutMs?: number | undefined
}

/** Why a connection gave no answer, or not all of it. `internal` is a defect of this client. */
export type BrokenCode = 'reset' | 'closed' | 'malformed' | 'timeout' | 'internal'

/** What came of one request. Network trouble is always a value here, never a rejection. */
export type Reply =
  | {
      kind: 'answered'
      status: number
      /** As received (order, case, duplicates) without hop-by-hop headers, and without Content-Length where a body follows. */
      headers: HeaderPairs
      body: ReplyBody
      /** The body ends where the connection does: one that was cut off looks the same. */
      untilClose: boolean
      reused: boolean
    }
  | {
      /** The target never got the request. */
      kind: 'unreached'
      /** refused, dns, connect-timeout, unroutable, tls, reset or closed (inside the TLS handshake), unsendable, or the certificate's own code. */
      code: string
      message: string
    }
  | {
      /** Connected, but no complete head came back: the target may or may not have acted on it. */
      kind: 'broken'
      code: BrokenCode
      message: string
      reused: boolean
    }
  | { kind: 'aborted' }

/** The body of an answer. Whoever gets one reads it to its end or cancels it; a forgotten body keeps its socket. */
export interface ReplyBody {
  /** The whole body when it had arrived together with the head; `read` is then not needed. */
  readonly complete: Uint8Array | null
  /** How many of the target's chunks `complete` is. */
  readonly chunks: number
  /** What came next, whole chunks that came together as one piece. One read at a time; never rejects for network reasons. */
  read(): Promise<BodyRead>
  /** Closes the socket at once, unless the whole body has already arrived. */
  cancel(): void
}

/** One step of reading a body. After anything but a chunk the same answer is given again. */
export type BodyRead =
  | { kind: 'chunk'; bytes: Uint8Array }
  | { kind: 'end' }
  | { kind: 'broken'; code: BrokenCode; message: string }
  | { kind: 'aborted' }

/** The one way to the target. */
export interface TargetClient {
  /** Scheme, host and port of the target. */
  readonly origin: string
  send(request: TargetRequest, options: SendOptions): Promise<Reply>
  /** Sockets waiting in the pool. */
  idleSockets(): number
  /** Every descriptor held: idle, busy, connecting, and connects given up but not yet closed by the system. */
  openSockets(): number
  /** Closes every socket; what is under way ends as `aborted`. */
  close(): void
}
