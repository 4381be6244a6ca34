/** One request and its answer on one connection; it must settle exactly once, whatever order the network chooses. */
import type { Clock } from '../domain/clock.ts'
import { replyHeaders } from '../domain/wire/headers.ts'
import type { Connection, ConnectionUser, Loss } from './connection.ts'
import { brokenCode, lossMessage, unreachedCode } from './failure-codes.ts'
import type { ReplyHead } from './reply-head.ts'
import { type ParseState, ReplyParser, type ReplySink } from './reply-parser.ts'
import { ReplyQueue, type Tap } from './reply-queue.ts'
import { Upload } from './upload.ts'
import type { BrokenCode, Reply, SendOptions, TargetRequest } from './wire.ts'

const CONNECT_TIMEOUT_MS = 5000

/** What an exchange needs. `release` takes the connection back when it can carry another request. */
export interface ExchangeDeps {
  request: TargetRequest
  options: SendOptions
  head: string
  clock: Clock
  release(connection: Connection): void
  settled(reply: Reply): void
}

type Phase = 'connecting' | 'waiting' | 'body' | 'over'

/** Created, then given a connection with `begin`; everything else comes from the socket, the clock and the signal. */
export class Exchange implements ConnectionUser, ReplySink, Tap {
  readonly #deps: ExchangeDeps
  readonly #parser: ReplyParser
  #phase: Phase = 'connecting'
  #connection: Connection | null = null
  #reused = false
  #upload: Upload | null = null
  #head: ReplyHead | null = null
  #queue: ReplyQueue | null = null
  // For connecting at first, then for the whole answer.
  #cancelTimer: (() => void) | null = null

  constructor(deps: ExchangeDeps) {
    this.#deps = deps
    this.#parser = new ReplyParser(deps.request.method, this)
    deps.options.signal?.addEventListener('abort', this)
  }

  /** `connection` is one from the pool, or one that is being dialled with this exchange as its user. */
  begin(connection: Connection): void {
    this.#connection = connection
    connection.user = this
    this.#reused = connection.used
    if (connection.ready) this.opened()
    else this.#armConnect()
  }

  #armConnect(): void {
    const timeoutMs = this.#deps.options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
    this.#cancelTimer = this.#deps.clock.after(timeoutMs, () => {
      this.#end({ kind: 'unreached', code: 'connect-timeout', message: `no connection within ${timeoutMs} ms` })
    })
  }

  /** The signal fired: the EventListener side of the exchange. */
  handleEvent(): void {
    this.abort()
  }

  /** Gives up in any phase; the socket is closed before this returns. */
  abort(): void {
    this.#end({ kind: 'aborted' })
  }

  opened(): void {
    const { clock, options, head, request } = this.#deps
    const connection = this.#connection
    if (connection === null) return
    this.#disarm()
    this.#phase = 'waiting'
    connection.used = true
    this.#upload = new Upload(connection, () => this.abort())
    const timeoutMs = options.wholeTimeoutMs
    if (timeoutMs !== undefined) {
      this.#cancelTimer = clock.after(timeoutMs, () => this.#break('timeout', `no whole answer within ${timeoutMs} ms`))
    }
    this.#upload.start(head, request)
  }

  drained(): void {
    this.#upload?.drained()
  }

  received(bytes: Buffer): void {
    const state = this.#parser.push(bytes)
    if (this.#phase === 'waiting' && this.#head !== null) this.#answer(this.#head)
    this.#afterParsing(state)
  }

  finished(): void {
    this.#afterParsing(this.#parser.finish())
  }

  lost(loss: Loss): void {
    if (this.#phase === 'connecting')
      this.#end({ kind: 'unreached', code: unreachedCode(loss), message: lossMessage(loss) })
    else this.#break(brokenCode(loss), lossMessage(loss))
  }

  head(head: ReplyHead): void {
    this.#head = head
    this.#queue = new ReplyQueue(this)
  }

  piece(bytes: Uint8Array): void {
    this.#queue?.push(bytes)
  }

  end(): void {
    this.#queue?.close({ kind: 'end' })
  }

  pause(): void {
    this.#connection?.pause()
  }

  resume(): void {
    this.#connection?.resume()
  }

  cancelled(): void {
    this.abort()
  }

  #answer(head: ReplyHead): void {
    const queue = this.#queue
    if (queue === null) return
    this.#phase = 'body'
    queue.settle(this.#parser.chunks)
    this.#deps.settled({
      kind: 'answered',
      status: head.status,
      headers: replyHeaders(head.headers, head.bodyFollows),
      body: queue,
      untilClose: head.framing.kind === 'close',
      reused: this.#reused,
    })
  }

  #afterParsing(state: ParseState): void {
    switch (state) {
      case 'reading':
        return
      case 'done':
        this.#complete()
        return
      case 'malformed':
        this.#break('malformed', this.#parser.problem)
        return
      case 'truncated':
        this.#break('closed', 'the connection was closed before the answer was complete')
        return
      default:
        state satisfies never
    }
  }

  // An answer may come before the request is out (413, say); such a connection is no use to anybody else.
  #complete(): void {
    const reusable =
      this.#deps.options.reuse &&
      this.#head?.keepAlive === true &&
      !this.#parser.leftOver &&
      this.#upload?.done === true
    this.#leave(reusable)
  }

  #break(code: BrokenCode, message: string): void {
    this.#end({ kind: 'broken', code, message, reused: this.#reused })
  }

  /** The exchange fails: the reply where it is still owed, else the body. */
  #end(reply: Exclude<Reply, { kind: 'answered' }>): void {
    if (this.#phase === 'over') return
    const owed = this.#phase !== 'body'
    this.#leave(false)
    if (owed) this.#deps.settled(reply)
    else if (reply.kind === 'aborted') this.#queue?.close(reply)
    else if (reply.kind === 'broken') this.#queue?.close({ kind: 'broken', code: reply.code, message: reply.message })
  }

  #leave(reusable: boolean): void {
    if (this.#phase === 'over') return
    this.#phase = 'over'
    this.#disarm()
    this.#deps.options.signal?.removeEventListener('abort', this)
    const connection = this.#connection
    this.#connection = null
    if (connection === null) return
    if (reusable) {
      connection.user = null
      connection.resume()
      this.#deps.release(connection)
      return
    }
    connection.terminate()
    this.#upload?.stop()
  }

  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = null
  }
}
