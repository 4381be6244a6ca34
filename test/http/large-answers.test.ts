/** Proves that an answer too large to be held goes on as it comes, byte for byte, and that one that breaks off is seen to be broken. */
import { afterEach, beforeEach, expect, test } from 'bun:test'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type RunningForeman, runForeman } from '../support/foreman.ts'

const MIB = 1024 ** 2
const known: Record<string, object> = {
  '/api/version': { version: '0.33.0' },
  '/api/generate': { model: 'm', done: true, done_reason: 'load' },
  '/api/tags': { models: [{ name: 'm:latest', model: 'm:latest' }] },
  '/api/ps': { models: [] },
}
const whole = Buffer.from(
  JSON.stringify({
    model: 'm',
    message: { role: 'assistant', content: 'wörd '.repeat(MIB) },
    done: true,
    eval_count: 7,
  }),
)

let says: ServerResponse
let asked: () => void
let foreman: RunningForeman
let target: Server

/** A chat whose answer is under way, and nothing of it said yet. */
const chat = async (): Promise<{ answer: Promise<Response> }> => {
  const begun = new Promise<void>((resolve) => {
    asked = resolve
  })
  const answer = fetch(`${foreman.url}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }], stream: false }),
  })
  await begun
  return { answer }
}

beforeEach(async () => {
  // Of node's own, because its answers can be broken off without a word.
  target = createServer((request, response) => {
    const { url = '' } = request
    const isChat = url === '/api/chat'
    const status = isChat || url in known ? 200 : 404
    response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' })
    if (!isChat) return response.end(JSON.stringify(known[url] ?? {}))
    response.flushHeaders()
    says = response
    asked()
  })
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  foreman = await runForeman(`http://127.0.0.1:${(target.address() as AddressInfo).port}`)
})

afterEach(async () => {
  await foreman.stop()
  target.closeAllConnections()
  target.close()
})

test('an answer over 1 MiB goes on before it is whole, byte for byte', async () => {
  const { answer } = await chat()
  const half = 3 * MIB
  says.write(whole.subarray(0, half))
  const reader = (await answer).body?.getReader()
  const pieces: Uint8Array[] = []
  let bytes = 0
  const read = async () => {
    const { value, done } = (await reader?.read()) ?? { value: undefined, done: true }
    if (value !== undefined) pieces.push(value)
    bytes += value?.length ?? 0
    return !done
  }
  while (bytes < half) await read()
  says.write(whole.subarray(half))
  says.end()
  while (await read());
  expect(Buffer.concat(pieces).equals(whole)).toBe(true)
})

test('one that breaks off after that is cut off for its client too, without words in the middle of its JSON', async () => {
  const { answer } = await chat()
  says.write(whole.subarray(0, 2 * MIB))
  const { body, status } = await answer
  expect(status).toBe(200)
  const got: Uint8Array[] = []
  const reading = (async () => {
    for await (const piece of body ?? []) got.push(piece)
  })()
  says.destroy()
  await expect(reading).rejects.toThrow()
  expect(whole.subarray(0, 2 * MIB).indexOf(Buffer.concat(got))).toBe(0)
})

test('one that breaks off before that is tried again, and its client sees nothing of it', async () => {
  const { answer } = await chat()
  says.write(whole.subarray(0, MIB / 2))
  const again = new Promise<void>((resolve) => {
    asked = resolve
  })
  says.destroy()
  await again
  says.write(whole)
  says.end()
  expect(Buffer.from(await (await answer).arrayBuffer()).equals(whole)).toBe(true)
})
