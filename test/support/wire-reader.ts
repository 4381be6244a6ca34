/** Reads one HTTP answer as it comes in, on code of its own so that it cannot share a mistake with what it tests. */

/** Status and headers exactly as received; values have one character per byte. */
export interface AnswerHead {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
}

export interface AnswerReader {
  readonly head: AnswerHead | null
  readonly bodyBytes: number
  /** No framing of its own: it ends with the connection. */
  readonly endsWithConnection: boolean
  /** Takes bytes; true when the answer is complete. Throws when they are no HTTP. */
  push(bytes: Buffer): boolean
  body(): Buffer
  /** What could not be read so far. */
  raw(): string
}

const parseHead = (text: string): AnswerHead => {
  const [statusLine = '', ...lines] = text.split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})( .*)?$/.exec(statusLine)?.[1] ?? Number.NaN)
  if (Number.isNaN(status)) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`)
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(': ')
    if (colon < 1) throw new Error(`not a header: ${JSON.stringify(line)}`)
    return [line.slice(0, colon), line.slice(colon + 2)]
  })
  return { status, headers }
}

const valueIn = ({ headers }: AnswerHead, name: string) => headers.find(([key]) => key.toLowerCase() === name)?.[1]

/** A reader for one answer; `isHead` when the request was HEAD. */
export const createAnswerReader = (isHead: boolean): AnswerReader => {
  let head: AnswerHead | null = null
  let pending: Buffer = Buffer.alloc(0)
  let pieces: Buffer[] = []
  let bodyBytes = 0
  /** Bytes still to come of a length or a chunk. */
  let left = 0
  let framing: 'none' | 'length' | 'chunked' | 'close' = 'none'
  let inChunk = false

  const take = (count: number) => {
    const piece = pending.subarray(0, count)
    pending = pending.subarray(count)
    left -= piece.length
    bodyBytes += piece.length
    if (piece.length > 0) pieces.push(piece)
  }
  const readHead = (): boolean => {
    const end = pending.indexOf('\r\n\r\n')
    if (end < 0) return false
    const parsed = parseHead(pending.toString('latin1', 0, end))
    pending = pending.subarray(end + 4)
    if (parsed.status < 200) return readHead()
    head = parsed
    const length = valueIn(parsed, 'content-length')
    if (isHead || parsed.status === 204 || parsed.status === 304) framing = 'none'
    else if (valueIn(parsed, 'transfer-encoding') === 'chunked') framing = 'chunked'
    else if (length === undefined) framing = 'close'
    else {
      framing = 'length'
      left = Number(length)
    }
    return true
  }
  const readChunks = (): boolean => {
    for (;;) {
      if (inChunk) {
        if (left > 0) take(Math.min(left, pending.length))
        if (left > 0 || pending.length < 2) return false
        if (pending.toString('latin1', 0, 2) !== '\r\n') throw new Error('a chunk does not end with its length')
        pending = pending.subarray(2)
        inChunk = false
      }
      const end = pending.indexOf('\r\n')
      if (end < 0) return false
      const line = pending.toString('latin1', 0, end)
      if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`)
      if (Number.parseInt(line, 16) === 0) {
        if (pending.length < end + 4) return false
        pending = pending.subarray(end + 4)
        return true
      }
      pending = pending.subarray(end + 2)
      left = Number.parseInt(line, 16)
      inChunk = true
    }
  }

  return {
    get head() {
      return head
    },
    get bodyBytes() {
      return bodyBytes
    },
    get endsWithConnection() {
      return framing === 'close'
    },
    push(bytes) {
      pending = pending.length === 0 ? Buffer.from(bytes) : Buffer.concat([pending, bytes])
      if (head === null && !readHead()) return false
      if (framing === 'none') return true
      if (framing === 'chunked') return readChunks()
      take(framing === 'close' ? pending.length : Math.min(left, pending.length))
      return framing === 'length' && left === 0
    },
    body() {
      if (pieces.length > 1) pieces = [Buffer.concat(pieces)]
      return pieces[0] ?? Buffer.alloc(0)
    },
    raw: () => pending.toString('latin1', 0, 500),
  }
}
