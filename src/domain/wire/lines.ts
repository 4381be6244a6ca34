/** Cuts a byte stream into whole lines, however it came in pieces; it must never pass on half of one, nor hold one without an end. */
import { concat } from '../bytes.ts'

const NEWLINE = 0x0a
const RETURN = 0x0d
// Ollama's own client reads lines of at most 8,000,000 bytes.
const LINE_MAX_BYTES = 16 * 1024 ** 2

export interface LineReader {
  push(bytes: Uint8Array): void
  /** What is there is a line too, newline or not. */
  flush(): void
}

interface LineReaderOptions {
  readonly maxBytes?: number
  /** Looks at the last of the lines that came together, from `start` to `end`; true when that says all there is to know of them. */
  readonly isEnough?: (bytes: Uint8Array, start: number, end: number) => boolean
}

/** Hands every line to `read`, without its newline, whatever pieces it came in. A line longer than the bound is left out. */
export const createLineReader = (read: (line: string) => void, options: LineReaderOptions = {}): LineReader => {
  const { maxBytes = LINE_MAX_BYTES, isEnough = () => false } = options
  let tail: Uint8Array[] = []
  let tailBytes = 0
  let isLost = false
  const decoder = new TextDecoder()
  const take = (piece: Uint8Array) => {
    const line = tail.length === 0 ? piece : concat([...tail, piece])
    const wasLost = isLost
    tail = []
    tailBytes = 0
    isLost = false
    if (!wasLost) read(decoder.decode(line))
  }
  const keep = (piece: Uint8Array) => {
    tailBytes += piece.length
    isLost ||= tailBytes > maxBytes
    if (isLost) tail = []
    else tail.push(piece.slice())
  }
  /** Whole lines, from `from` to just behind the last newline. */
  const takeAll = (bytes: Uint8Array, from: number, to: number) => {
    let end = to
    while (end > from && (bytes[end - 1] === NEWLINE || bytes[end - 1] === RETURN)) end--
    if (end === from) return read('')
    const start = Math.max(from, bytes.lastIndexOf(NEWLINE, end - 1) + 1)
    if (isEnough(bytes, start, end)) return
    for (const line of decoder.decode(bytes.subarray(from, end)).split('\n')) read(line)
  }
  return {
    push(bytes) {
      let start = 0
      if (tailBytes > 0) {
        const end = bytes.indexOf(NEWLINE)
        if (end < 0) return keep(bytes)
        take(bytes.subarray(0, end))
        start = end + 1
      }
      const end = bytes.lastIndexOf(NEWLINE)
      if (end >= start) takeAll(bytes, start, end + 1)
      if (end + 1 < bytes.length) keep(bytes.subarray(end + 1))
    },
    flush() {
      if (tailBytes > 0) take(new Uint8Array(0))
    },
  }
}

export interface LineCutter {
  /** The lines of JSON that these bytes complete. */
  cut(bytes: Uint8Array): string[]
  /** The stream is over: its last line, when it had no newline. What comes next begins a line. */
  end(): string[]
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** A cutter for NDJSON that may be joined in the middle. */
export const createLineCutter = (): LineCutter => {
  // Whoever comes while a line is on its way sees only the end of it.
  let isAligned = false
  let lines: string[] = []
  const reader = createLineReader((line) => {
    // A lone carriage return would end a line for whoever reads these as server-sent events.
    for (const text of line.split('\r')) {
      if (text !== '' && (isAligned || isJson(text))) lines.push(text)
      isAligned = true
    }
    isAligned = true
  })
  const taken = () => {
    const all = lines
    lines = []
    return all
  }
  return {
    cut(bytes) {
      reader.push(bytes)
      return taken()
    },
    end() {
      reader.flush()
      isAligned = true
      return taken().filter(isJson)
    },
  }
}
