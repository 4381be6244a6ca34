/** A7 beside the queue: a control answer that is complete is given to the client, although the target never ends it. */
import { afterEach, expect, test } from 'bun:test'
import type { Socket } from 'bun'
import { runForeman } from '../support/foreman.ts'
import { createHastyClock } from '../support/hasty-clock.ts'
import { polled } from '../support/health.ts'
import { get, post } from '../support/raw-client.ts'
import { askOnce } from '../support/wire-client.ts'

const HASTE = 4

let undone: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of undone.reverse()) await undo()
  undone = []
})

const large = JSON.stringify({ details: {}, license: 'x'.repeat(200_000) })
const bodies: Record<string, string> = {
  '/api/version': '{"version":"0.33.0"}',
  '/api/tags': '{"models":[{"name":"tiny:latest","digest":"d"}]}',
  '/api/ps': '{"models":[]}',
  '/api/show': '{"details":{},"capabilities":["completion"]}',
  '/v1/models': '{"object":"list","data":[]}',
  '/v1/models/tiny': '{"id":"tiny","object":"model"}',
}

/** `endless` says of which paths the last chunk is never sent; `show` is what /api/show says. */
const startTarget = (how: { endless: (path: string) => boolean; show?: string }) => {
  const answer = (socket: Socket<unknown>, bytes: Buffer) => {
    const path = bytes.toString().split(' ')[1] ?? ''
    const body = (path === '/api/show' ? how.show : undefined) ?? bodies[path] ?? '{}'
    const middle = body.length >> 1
    const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
    const head =
      'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n'
    const end = how.endless(path) ? '' : '0\r\n\r\n'
    socket.write(head + chunk(body.slice(0, middle)) + chunk(body.slice(middle)) + end)
  }
  const target = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: answer } })
  undone.push(() => target.stop(true))
  return `http://127.0.0.1:${target.port}`
}

const start = async (url: string) => {
  const clock = createHastyClock(HASTE)
  const foreman = await runForeman(url, { FOREMAN_POLL_INTERVAL: '1h' }, { clock })
  undone.push(() => foreman.stop())
  await polled(foreman)
  return foreman
}

test.each(Object.keys(bodies))('%s reaches the client', async (asked) => {
  const how = { endless: (_: string) => false }
  const foreman = await start(startTarget(how))
  how.endless = (path) => path === asked
  const request = asked === '/api/show' ? post(asked, { model: 'tiny' }) : get(asked)
  const answer = await askOnce(foreman.port, request)
  expect([answer.status, answer.body.toString()]).toEqual([200, bodies[asked]!])
  // From the target, not from memory.
  expect(answer.headers.filter(([name]) => name.toLowerCase() === 'x-foreman-answered-from')).toEqual([])
})

test('a large one reaches the client to the byte', async () => {
  const foreman = await start(startTarget({ endless: (path) => path === '/api/show', show: large }))
  const answer = await askOnce(foreman.port, post('/api/show', { model: 'tiny' }))
  expect([answer.status, answer.body.toString() === large]).toEqual([200, true])
})
