/** The answering side of one request, framed to the byte as Go's net/http frames it; it must never know what is being said. */
import { framingOf, type Header } from './framing.ts'
import type { Departure } from './pulse.ts'
import type { WireRequest } from './request-parser.ts'

/** How a fault cuts a body: after so many whole chunks, or in the middle of one with a Content-Length. */
export interface Cut {
  readonly how: 'reset' | 'truncate' | 'malformed'
  readonly afterChunks: number
}

/** One request and its answer: either one `send`, or `begin`, any number of `chunk`s and `end`. */
export interface Exchange extends Departure {
  readonly request: WireRequest
  /** Headers that every answer to this request carries (CORS, Allow). */
  readonly extraHeaders: Header[]
  readonly begun: boolean
  readonly done: boolean
  /** Called once when the answer is complete or nobody is there for it any more. */
  onSettled: () => void
  /** A whole answer: Content-Length up to 2 KiB, one chunk above, as Go's buffer makes it. */
  send(status: number, headers: readonly Header[], body: string): void
  begin(status: number, headers: readonly Header[]): void
  /** One HTTP chunk. A promise means: the client reads slowly, wait. */
  chunk(text: string): Promise<void> | undefined
  end(): void
  /** RST: nothing more is sent. */
  reset(): void
  /** Bytes that are no HTTP answer, then FIN. */
  blurt(text: string): void
  cutWith(cut: Cut): void
}

/** What an exchange needs of its connection. */
export interface Line {
  write(text: string): void
  /** Resolves when what was written has left; undefined when it already has. */
  drained(): Promise<void> | undefined
  reset(): void
  /** FIN, now. */
  hangUp(): void
  /** The answer is complete. */
  finished(keepAlive: boolean): void
  dateHeader(): string
}

/** The exchange plus the one thing only its connection may do. */
export interface OpenExchange extends Exchange {
  leave(): void
}

type Mutable<T, Names extends keyof T> = Omit<T, Names> & { -readonly [Name in Names]: T[Name] }

/** Whether somebody is there for the answer, and who wants to know when not. */
const createPresence = () => {
  const leavers = new Set<() => void>()
  let gone = false
  return {
    get gone() {
      return gone
    },
    onGone(run: () => void) {
      if (gone) run()
      else leavers.add(run)
      return () => leavers.delete(run)
    },
    forget: () => leavers.clear(),
    leave() {
      gone = true
      for (const run of leavers) run()
      leavers.clear()
    },
  }
}

/** Opens the answer to `request` on `line`. */
export const createExchange = (request: WireRequest, line: Line): OpenExchange => {
  const presence = createPresence()
  const extraHeaders: Header[] = []
  const framing = framingOf(request, extraHeaders, line.dateHeader)
  let cut: Cut | null = null
  let chunks = 0

  const isOver = () => presence.gone || exchange.done
  const write = (text: string) => {
    if (!isOver() && text !== '') line.write(text)
  }
  const leave = () => {
    if (isOver()) return
    presence.leave()
    exchange.onSettled()
  }
  const finish = () => {
    if (isOver()) return
    exchange.done = true
    presence.forget()
    exchange.onSettled()
    line.finished(request.keepAlive)
  }
  /** Leaving comes first: a closing socket would otherwise count as a client that left. */
  const breakOff = (last: string, close: () => void) => {
    write(last)
    leave()
    close()
  }
  const performCut = ({ how }: Cut) =>
    breakOff(how === 'malformed' ? 'zz\r\n' : '', how === 'reset' ? line.reset : line.hangUp)
  const begin = (status: number, headers: readonly Header[]) => {
    exchange.begun = true
    write(framing.chunkedHead(status, headers))
  }

  const exchange: Mutable<OpenExchange, 'begun' | 'done'> = {
    request,
    extraHeaders,
    begun: false,
    done: false,
    onSettled: () => undefined,
    get gone() {
      return presence.gone
    },
    onGone: presence.onGone,
    send(status, headers, body) {
      exchange.begun = true
      if (cut) {
        write(cut.how === 'malformed' ? framing.chunkedHead(status, headers) : framing.half(status, headers, body))
        return performCut(cut)
      }
      write(framing.whole(status, headers, body))
      finish()
    },
    begin,
    chunk(text) {
      if (cut && chunks >= cut.afterChunks) {
        performCut(cut)
        return undefined
      }
      chunks++
      write(framing.chunk(text))
      return presence.gone ? undefined : line.drained()
    },
    end() {
      if (cut && !presence.gone) return performCut(cut)
      write(framing.end)
      finish()
    },
    reset: () => breakOff('', line.reset),
    blurt: (text) => breakOff(text, line.hangUp),
    cutWith(how) {
      cut = how
    },
    leave,
  }
  return exchange
}
