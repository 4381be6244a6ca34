/** R4: requests that two parsers could read in two ways are refused, and nothing of them reaches the target. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { rawClient } from '../support/raw-client.ts'
import { startVerbatimTarget, type VerbatimTarget } from '../support/verbatim-target.ts'

let target: VerbatimTarget
let foreman: RunningForeman

beforeAll(async () => {
  target = startVerbatimTarget(() => ({ pieces: [], close: true }))
  foreman = await runForeman(target.url, { FOREMAN_POLL_INTERVAL: '1h' })
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  target.stop()
})

const SMUGGLED = 'DELETE /api/delete HTTP/1.1\r\nHost: x.local\r\nX-Case: smuggled\r\nContent-Length: 2\r\n\r\n{}'
const chunks = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`
const post = (lines: readonly string[], body: string) =>
  `POST /api/show HTTP/1.1\r\nHost: x.local\r\nX-Case: outer\r\n${lines.join('\r\n')}\r\n\r\n${body}`

const ambiguous: Record<string, string> = {
  'a length and chunks': post(['Content-Length: 5', 'Transfer-Encoding: chunked'], `0\r\n\r\n${SMUGGLED}`),
  'chunks and a length': post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `5c\r\n${SMUGGLED}\r\n0\r\n\r\n`),
  'two lengths': post(['Content-Length: 2', 'Content-Length: 60'], `{}${SMUGGLED}`),
  'a list of lengths': post(['Content-Length: 2, 60'], `{}${SMUGGLED}`),
  'a negative length': post(['Content-Length: -1'], SMUGGLED),
  'a signed length': post(['Content-Length: +2'], `{}${SMUGGLED}`),
  'a hexadecimal length': post(['Content-Length: 0x2'], `{}${SMUGGLED}`),
  'an unknown transfer encoding': post(['Transfer-Encoding: xchunked'], chunks('{}') + SMUGGLED),
  'chunks that are not the last encoding': post(['Transfer-Encoding: chunked, identity'], chunks('{}') + SMUGGLED),
  'a blank before the colon': post(['Transfer-Encoding : chunked', 'Content-Length: 2'], `{}${SMUGGLED}`),
  'a folded header': post(['X-A: b', ' Content-Length: 60', 'Content-Length: 2'], `{}${SMUGGLED}`),
  'bare line feeds': `POST /api/show HTTP/1.1\nHost: x.local\nX-Case: outer\nContent-Length: 2\n\n{}${SMUGGLED}`,
  'no Host': `POST /api/show HTTP/1.1\r\nX-Case: outer\r\nContent-Length: 2\r\n\r\n{}`,
  'a NUL in a header': post(['X-A: b\u0000c', 'Content-Length: 2'], `{}${SMUGGLED}`),
  'a chunk size that is none': post(['Transfer-Encoding: chunked'], `zz\r\n{}\r\n0\r\n\r\n${SMUGGLED}`),
}

/** The statuses of all answers until foreman closed the connection. */
const answersTo = async (bytes: string): Promise<(string | undefined)[]> => {
  const client = await rawClient(foreman.port)
  client.send(bytes)
  await within(5_000, JSON.stringify(bytes), client.closed())
  client.destroy()
  return [...client.received().matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status)
}

describe('an ambiguous request', () => {
  for (const [what, bytes] of Object.entries(ambiguous)) {
    test(`with ${what} is refused, its connection is closed, and the target hears nothing`, async () => {
      const asked = target.asked()
      let statuses = await answersTo(bytes)
      // What was not read when the connection was closed makes it a reset, which may overtake the answer.
      for (let tries = 1; statuses.length === 0 && tries < 10; tries++) statuses = await answersTo(bytes)
      expect(['400', '505']).toContain(statuses[0]!)
      expect(statuses).toHaveLength(1)
      expect([target.asked(), target.received.has('smuggled')]).toEqual([asked, false])
    })
  }
})
