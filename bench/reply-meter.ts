/** Finds where one HTTP answer ends in the bytes of a keep-alive connection; it must never look at more than that needs. */

/** How one answer came out. */
export interface Metered {
  readonly status: number
}

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

/** Feeds on what arrives; `push` gives the answer once it is complete. One request is under way at a time. */
export const createReplyMeter = () => {
  let held: Buffer = Buffer.alloc(0)
  let bodyAt = -1
  let bodyLength = -1
  let status = 0

  const readHead = (): boolean => {
    const end = held.indexOf(HEAD_END)
    if (end < 0) return false
    const head = held.toString('latin1', 0, end).toLowerCase()
    status = Number(head.slice(9, 12))
    bodyAt = end + HEAD_END.length
    const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1]
    bodyLength = length === undefined ? -1 : Number(length)
    return true
  }

  const isComplete = (): boolean => {
    if (bodyLength >= 0) return held.length >= bodyAt + bodyLength
    return held.length >= bodyAt + LAST_CHUNK.length && held.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)
  }

  return {
    push(bytes: Buffer): Metered | null {
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes])
      if (bodyAt < 0 && !readHead()) return null
      if (!isComplete()) return null
      held = Buffer.alloc(0)
      bodyAt = -1
      return { status }
    },
  }
}
