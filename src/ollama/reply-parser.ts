/** Reads HTTP/1.1 answers out of bytes, however the network cut them; pure, and it must never guess past malformed framing. */
import { CR, hexDigit, LF, SEMICOLON } from './octets.ts'
import { parseReplyHead, type ReplyHead } from './reply-head.ts'

/** Receives what the parser finds, in order and synchronously: one head, the pieces of the body, and the end. */
export interface ReplySink {
  head(head: ReplyHead): void
  /** All of the body that one read completed: whole HTTP chunks one behind the other, or the bytes as they came. Never empty. */
  piece(bytes: Uint8Array): void
  end(): void
}

/** `reading` wants more bytes, `done` has seen the whole answer, `malformed` and `truncated` are final. */
export type ParseState = 'reading' | 'done' | 'malformed' | 'truncated'

const HEAD_BYTES_MAX = 65_536
const CHUNK_LINE_BYTES_MAX = 1024
// A chunk up to here is handed on whole, so that half a token's line never is; a longer one goes on as it comes.
const WHOLE_CHUNK_BYTES_MAX = 65_536
// 12 hexadecimal digits are 256 TiB: more is nonsense, and would leave the safe integers soon after.
const SIZE_DIGITS_MAX = 12
const SIZE_MAX = 0xffff_ffff_ffff
const HEAD_END = Buffer.from('\r\n\r\n')
const empty = Buffer.alloc(0)

type Step = 'head' | 'length' | 'close' | 'size' | 'data' | 'data-end' | 'trailer'

/** One parser per answer. `leftOver` tells whether bytes followed the end of it. */
export class ReplyParser {
  leftOver = false
  /** HTTP chunks so far, the empty last one not counted. */
  chunks = 0
  /** Says what was wrong once `push` has answered `malformed`. */
  problem = ''
  readonly #method: string
  readonly #sink: ReplySink
  #step: Step = 'head'
  #state: ParseState = 'reading'
  #input: Buffer = empty
  #at = 0
  /** Of the chunk at hand. */
  #size = 0
  #missing = 0
  #headBytes = 0
  #trailerBytes = 0
  // The part of the input that is body found and not yet handed on.
  #from = 0
  #to = 0

  constructor(method: string, sink: ReplySink) {
    this.#method = method
    this.#sink = sink
  }

  /** Takes the next bytes off the wire for its own: they are moved about and handed on. */
  push(bytes: Buffer): ParseState {
    if (this.#state !== 'reading') {
      this.leftOver ||= bytes.length > 0
      return this.#state
    }
    this.#input = this.#at < this.#input.length ? Buffer.concat([this.#input.subarray(this.#at), bytes]) : bytes
    this.#at = 0
    const state = this.#run()
    this.leftOver = state === 'done' && this.#at < this.#input.length
    if (state !== 'reading' || this.#at === this.#input.length) this.#drop()
    return state
  }

  /** The target closed its side in good order: the end of a body without framing, too early for any other. */
  finish(): ParseState {
    if (this.#state !== 'reading') return this.#state
    this.#state = this.#step === 'close' ? 'done' : 'truncated'
    return this.#ended()
  }

  #run(): ParseState {
    while (this.#advance());
    this.#handOn()
    return this.#ended()
  }

  #ended(): ParseState {
    if (this.#state === 'done') this.#sink.end()
    return this.#state
  }

  #drop(): void {
    this.#input = empty
    this.#at = 0
  }

  #finished(): false {
    this.#state = 'done'
    return false
  }

  #fail(problem: string): false {
    this.problem = problem
    this.#state = 'malformed'
    return false
  }

  /** One step; false when it needs more bytes or is over. */
  #advance(): boolean {
    switch (this.#step) {
      case 'head':
        return this.#head()
      case 'length':
        return this.#length()
      case 'close':
        return this.#untilClose()
      case 'size':
        return this.#sizeLine()
      case 'data':
        return this.#data()
      case 'data-end':
        return this.#dataEnd()
      case 'trailer':
        return this.#trailer()
      default:
        return this.#step satisfies never
    }
  }

  #head(): boolean {
    const end = this.#input.indexOf(HEAD_END, this.#at)
    const length = (end < 0 ? this.#input.length : end) - this.#at
    if (this.#headBytes + length > HEAD_BYTES_MAX) return this.#fail(`the head is longer than ${HEAD_BYTES_MAX} bytes`)
    if (end < 0) return this.#looksLikeHttp()
    const parsed = parseReplyHead(this.#input.toString('latin1', this.#at, end), this.#method)
    if (parsed.kind === 'malformed') return this.#fail(parsed.message)
    this.#at = end + HEAD_END.length
    // All heads together have one limit: a peer could send interim ones for ever.
    this.#headBytes += length + HEAD_END.length
    if (parsed.kind === 'interim') return true
    this.#step =
      parsed.head.framing.kind === 'chunked' ? 'size' : parsed.head.framing.kind === 'close' ? 'close' : 'length'
    if (parsed.head.framing.kind === 'length') this.#missing = parsed.head.framing.bytes
    this.#sink.head(parsed.head)
    return true
  }

  // Garbage without a blank line is named at its first bytes instead of being collected up to the limit.
  #looksLikeHttp(): boolean {
    const start = this.#input.toString('latin1', this.#at, this.#at + 5)
    return 'HTTP/'.startsWith(start) ? false : this.#fail('the answer does not start with HTTP/')
  }

  #length(): boolean {
    this.#missing -= this.#take(this.#missing)
    return this.#missing > 0 ? false : this.#finished()
  }

  #untilClose(): false {
    this.#take(this.#input.length)
    return false
  }

  /** Counts up to so many bytes to the body, and closes the gap that the framing before them left; gives how many there were. */
  #take(bytesMax: number): number {
    const start = this.#at
    const end = Math.min(this.#input.length, start + bytesMax)
    if (this.#from === this.#to) {
      this.#from = start
      this.#to = end
    } else {
      this.#input.copyWithin(this.#to, start, end)
      this.#to += end - start
    }
    this.#at = end
    return end - start
  }

  #handOn(): void {
    const { length } = this.#input
    const isAll = this.#from === 0 && this.#to === length
    if (this.#to > this.#from) this.#sink.piece(isAll ? this.#input : this.#input.subarray(this.#from, this.#to))
    this.#from = 0
    this.#to = 0
  }

  #sizeLine(): boolean {
    const input = this.#input
    let at = this.#at
    let size = 0
    for (let digit = hexDigit(input[at]); digit >= 0; digit = hexDigit(input[++at])) size = size * 16 + digit
    const digits = at - this.#at
    // Nearly always the line is a short number and nothing else.
    if (digits === 0 || digits > SIZE_DIGITS_MAX || input[at] !== CR || input[at + 1] !== LF) {
      const end = this.#lineEnd(CHUNK_LINE_BYTES_MAX, 'chunk size')
      if (end < 0) return false
      if (digits === 0 || size > SIZE_MAX) return this.#fail('bad chunk size')
      while (input[at] === 32 || input[at] === 9) at++
      if (at < end && input[at] !== SEMICOLON) return this.#fail('bad chunk size')
      at = end
    }
    this.#at = at + 2
    this.#size = size
    this.#missing = size
    if (size > 0) this.chunks++
    this.#step = size === 0 ? 'trailer' : 'data'
    return true
  }

  /** Offset of the CRLF that ends the line at hand; -1 while it is not there, or when the line is bad. */
  #lineEnd(bytesMax: number, what: string): number {
    const lf = this.#input.indexOf(LF, this.#at)
    const length = (lf < 0 ? this.#input.length : lf) - this.#at
    if (length > bytesMax) this.#fail(`the ${what} line is longer than ${bytesMax} bytes`)
    else if (lf >= 0 && (length === 0 || this.#input[lf - 1] !== CR))
      this.#fail(`the ${what} line does not end with CRLF`)
    else if (lf >= 0) return lf - 1
    return -1
  }

  #data(): boolean {
    const isLate = this.#input.length - this.#at < this.#missing
    if (isLate && this.#size <= WHOLE_CHUNK_BYTES_MAX) return false
    this.#missing -= this.#take(this.#missing)
    if (this.#missing > 0) return false
    this.#step = 'data-end'
    return true
  }

  #dataEnd(): boolean {
    const have = this.#input.length - this.#at
    if (have > 0 && this.#input[this.#at] !== CR) return this.#fail('a chunk does not end with CRLF')
    if (have < 2) return false
    if (this.#input[this.#at + 1] !== LF) return this.#fail('a chunk does not end with CRLF')
    this.#at += 2
    this.#step = 'size'
    return true
  }

  // Trailers are read past: no one asked for them with TE, so they may be discarded (RFC 9110 section 6.5.1).
  #trailer(): boolean {
    const end = this.#lineEnd(HEAD_BYTES_MAX, 'trailer')
    if (end < 0) return false
    const blank = end === this.#at
    this.#trailerBytes += end + 2 - this.#at
    if (this.#trailerBytes > HEAD_BYTES_MAX) return this.#fail(`the trailers are longer than ${HEAD_BYTES_MAX} bytes`)
    this.#at = end + 2
    return blank ? this.#finished() : true
  }
}
