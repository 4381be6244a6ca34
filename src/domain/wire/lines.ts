/** Cuts a byte stream that may be joined in the middle into whole lines of JSON; it must never pass on half of one. */
import { concat } from '../bytes.ts'

export interface LineCutter {
  /** The lines that these bytes complete. */
  cut(bytes: Uint8Array): string[]
  /** The stream is over: its last line, when it had no newline. What comes next begins a line. */
  end(): string[]
}

const NEWLINE = 0x0a
const nothing: Uint8Array = new Uint8Array(0)

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** A cutter for NDJSON. */
export const createLineCutter = (): LineCutter => {
  let rest = nothing
  // Whoever comes while a line is on its way sees only the end of it.
  let isAligned = false
  const linesOf = (bytes: Uint8Array) => {
    const lines = new TextDecoder()
      .decode(bytes)
      .split(/[\r\n]+/)
      .filter((line) => line !== '')
    const [first] = lines
    if (!isAligned && first !== undefined && !isJson(first)) lines.shift()
    isAligned = true
    return lines
  }
  return {
    cut(bytes) {
      const last = bytes.lastIndexOf(NEWLINE)
      if (last < 0) {
        rest = concat([rest, bytes])
        return []
      }
      const whole = concat([rest, bytes.subarray(0, last)])
      rest = bytes.slice(last + 1)
      return linesOf(whole)
    },
    end() {
      const lines = linesOf(rest).filter(isJson)
      rest = nothing
      return lines
    },
  }
}
