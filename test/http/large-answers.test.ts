/** Proves that an answer too large to be held goes on as it comes, byte for byte, and that one that breaks off is seen to be broken. */
import { afterEach, beforeEach, expect, test } from 'bun:test'
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

let says: ReadableStreamDefaultController<Uint8Array>
let asked: () => void
let foreman: RunningForeman
let target: ReturnType<typeof Bun.serve>

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
  target = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    development: false,
    error: () => undefined,
    fetch(request) {
      const { pathname } = new URL(request.url)
      if (pathname !== '/api/chat')
        return Response.json(known[pathname] ?? {}, { status: pathname in known ? 200 : 404 })
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          says = controller
          asked()
        },
      })
      return new Response(body, { headers: { 'Content-Type': 'application/json; charset=utf-8' } })
    },
  })
  foreman = await runForeman(target.url.origin)
})

afterEach(async () => {
  await foreman.stop()
  await target.stop(true)
})

test('an answer over 1 MiB goes on before it is whole, byte for byte', async () => {
  const { answer } = await chat()
  const half = 3 * MIB
  says.enqueue(whole.subarray(0, half))
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
  says.enqueue(whole.subarray(half))
  says.close()
  while (await read());
  expect(Buffer.concat(pieces).equals(whole)).toBe(true)
})

test('one that breaks off after that is cut off for its client too, without words in the middle of its JSON', async () => {
  const { answer } = await chat()
  says.enqueue(whole.subarray(0, 2 * MIB))
  const { body, status } = await answer
  expect(status).toBe(200)
  const got: Uint8Array[] = []
  const reading = (async () => {
    for await (const piece of body ?? []) got.push(piece)
  })()
  says.error(new Error('gone'))
  await expect(reading).rejects.toThrow()
  expect(whole.subarray(0, 2 * MIB).indexOf(Buffer.concat(got))).toBe(0)
})

test('one that breaks off before that is tried again, and its client sees nothing of it', async () => {
  const { answer } = await chat()
  says.enqueue(whole.subarray(0, MIB / 2))
  const again = new Promise<void>((resolve) => {
    asked = resolve
  })
  says.error(new Error('gone'))
  await again
  says.enqueue(whole)
  says.close()
  expect(Buffer.from(await (await answer).arrayBuffer()).equals(whole)).toBe(true)
})
