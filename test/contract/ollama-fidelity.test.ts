/** Replays every recorded exchange with a real Ollama against the simulator, byte for byte; it must never compare less than it says. */
import { afterAll, describe, expect, test } from 'bun:test'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { rawClient } from '../support/raw-client.ts'
import { transcriptModels } from '../support/transcript-models.ts'
import { type Recorded, readTranscript, transcriptFiles } from '../support/transcripts.ts'
import { compareBody, isVariable } from '../support/wire-shape.ts'

// Exchanges per file, and how many of them end in something that was cut out of the recording.
const counts = {
  'native-ok.txt': { compared: 17, cut: 0 },
  'native-err.txt': { compared: 56, cut: 1 },
  'compat.txt': { compared: 34, cut: 0 },
  'http-misc.txt': { compared: 48, cut: 1 },
}

const tally = { compared: 0, bodies: 0, chunks: 0, cut: 0 }

interface Answer {
  interim: string[]
  status: string
  headers: string[]
  chunks: string[] | null
  body: string
}

const CRLF = '\r\n'

/** Takes exactly the chunks that their sizes announce; null where the text ends before they do. */
const dechunk = (text: string): { chunks: string[]; rest: string } | null => {
  const chunks: string[] = []
  let bytes = Buffer.from(text, 'latin1')
  for (;;) {
    const end = bytes.indexOf(CRLF)
    const size = /^[0-9a-f]+$/.exec(bytes.toString('latin1', 0, Math.max(0, end)))
    if (end < 0 || !size) return null
    const length = Number.parseInt(size[0], 16)
    const start = end + CRLF.length
    if (length === 0) return { chunks, rest: bytes.toString('latin1', start + CRLF.length) }
    if (bytes.length < start + length + CRLF.length) return null
    chunks.push(bytes.toString('latin1', start, start + length))
    bytes = bytes.subarray(start + length + CRLF.length)
  }
}

const lengthOf = (headers: readonly string[]): number | null => {
  const header = headers.find((line) => line.startsWith('Content-Length: '))
  return header ? Number(header.slice(16)) : null
}

const isChunked = (headers: readonly string[]) => headers.includes('Transfer-Encoding: chunked')

/** The whole answer in `raw`, or null while bytes are missing. */
const parseAnswer = (raw: string, isHead: boolean, closed: boolean): Answer | null => {
  const interim: string[] = []
  let rest = raw
  let lines: string[] = []
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return null
    lines = rest.slice(0, end).split('\r\n')
    rest = rest.slice(end + 4)
    if (!lines[0]!.includes(' 100 ')) break
    interim.push(...lines)
  }
  const [status, ...headers] = lines
  const whole = { interim, status: status!, headers, chunks: null, body: '' }
  if (isHead || status!.includes(' 204 ')) return whole
  if (isChunked(headers)) {
    const parsed = dechunk(rest)
    return parsed && { ...whole, chunks: parsed.chunks, body: parsed.chunks.join('') }
  }
  const length = lengthOf(headers)
  if (length === null) return closed ? { ...whole, body: rest } : null
  return rest.length < length ? null : { ...whole, body: rest.slice(0, length) }
}

const ask = async (port: number, recorded: Recorded): Promise<Answer> => {
  const client = await rawClient(port)
  try {
    client.send(recorded.request)
    const parsed = () => parseAnswer(client.received(), recorded.isHead, client.closing() === 'fin')
    if (recorded.status.startsWith('HTTP/1.0')) await client.closed()
    else await client.until(() => parsed() !== null)
    return parsed()!
  } finally {
    client.destroy()
  }
}

const DATE = /^Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/

/** Header lines with what may differ levelled out. */
const levelled = (headers: readonly string[], keepLength: boolean) =>
  headers.map((line) => {
    if (DATE.test(line)) return 'Date: <date>'
    return line.startsWith('Content-Length: ') && !keepLength ? 'Content-Length: <n>' : line
  })

/** What the recording shows of the body: chunks, one body, or null where it is cut or not shown. */
const recordedBody = (recorded: Recorded): { chunks: string[] | null; body: string; leftover: string } | null => {
  const { headers, rawBody } = recorded
  const text = Buffer.from(rawBody).toString('latin1')
  if (isChunked(headers)) {
    const parsed = dechunk(text)
    return parsed && { chunks: parsed.chunks, body: parsed.chunks.join(''), leftover: parsed.rest }
  }
  const length = lengthOf(headers)
  if (recorded.isHead || length === 0) return { chunks: null, body: '', leftover: text }
  // HTTP/1.0: up to the end of the connection; the recorder added one newline.
  if (length === null) return { chunks: null, body: text.replace(/\n$/, ''), leftover: '' }
  if (text.length >= length) return { chunks: null, body: text.slice(0, length), leftover: text.slice(length) }
  // Shorter than announced: one body had a path shortened and is still whole JSON, another was cut off.
  const body = text.trimEnd()
  return body.endsWith('}') ? { chunks: null, body, leftover: '' } : null
}

const compare = (recorded: Recorded, answer: Answer): { cut: boolean } => {
  expect(answer.interim).toEqual(recorded.interim)
  expect(answer.status).toBe(recorded.status)
  const wanted = recorded.bodyShown ? recordedBody(recorded) : null
  const keepLength = wanted === null ? false : !isVariable(wanted.body)
  expect(levelled(answer.headers, keepLength)).toEqual(levelled(recorded.headers, keepLength))
  if (wanted === null) return { cut: recorded.bodyShown }
  tally.bodies++
  expect(answer.chunks?.length).toBe(wanted.chunks?.length)
  const pairs = wanted.chunks
    ? wanted.chunks.map((chunk, i) => [chunk, answer.chunks![i]!] as const)
    : [[wanted.body, answer.body] as const]
  for (const [expected, actual] of pairs) {
    expect(compareBody(expected, actual)).toBeNull()
    tally.chunks++
  }
  // What stands between two blocks is blank, or the end of a block whose beginning was cut away.
  return { cut: wanted.leftover.trim() !== '' }
}

describe('the simulator answers as the recorded Ollama did', () => {
  for (const file of transcriptFiles) {
    test(file, async () => {
      const simulator = await startSimulator({
        models: transcriptModels,
        maxLoadedModels: 3,
        version: '0.0.0',
        registry: 'offline',
      })
      let cut = 0
      const recordings = await readTranscript(file)
      const problems: string[] = []
      for (const recorded of recordings) {
        try {
          if (compare(recorded, await ask(simulator.port, recorded)).cut) cut++
        } catch (error) {
          problems.push(`curl ${recorded.command}\n${error instanceof Error ? error.message : String(error)}`)
        }
      }
      await simulator.stop()
      tally.compared += recordings.length
      tally.cut += cut
      expect(problems.join('\n\n')).toBe('')
      expect({ compared: recordings.length, cut }).toEqual(counts[file])
    })
  }
})

afterAll(() => {
  const { compared, bodies, chunks, cut } = tally
  process.stdout.write(
    `fidelity: ${compared} exchanges, ${bodies} bodies in ${chunks} pieces compared; ${cut} cut in the recording\n`,
  )
})
