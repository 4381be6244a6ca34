/** R1: whatever comes in, the answer is from the table, nothing hangs, and foreman lives. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ollamaRoutes } from '../../src/domain/wire/routes.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createDice, type Dice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { idle, polled } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { rawClient } from '../support/raw-client.ts'
import { openClient, type WireClient } from '../support/wire-client.ts'

const BODIES = Number(process.env['FOREMAN_TEST_FUZZ_BODIES'] ?? 10_000)
const MUTATIONS = Number(process.env['FOREMAN_TEST_FUZZ_MUTATIONS'] ?? 2_000)
const HUNG_MS = 10_000

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({
    models: [{ name: 'tiny' }, { name: 'embed', capabilities: ['embedding'] }],
    maxLoadedModels: 2,
  })
  foreman = await runForeman(simulator.url, { FOREMAN_MAX_BODY: '1MiB', FOREMAN_LOG_LEVEL: 'error' })
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

// B4, with the statuses that Ollama itself gives to requests (wire document, sections 2, 5.1 and 8). 500 and 503 are only
// expected in the target's own words.
const table = new Set([200, 201, 204, 301, 307, 400, 401, 403, 404, 405, 413, 431])
const theTargetsOwn =
  /account unavailable|pull model manifest: |invalid format: |option \\?"[^"]*\\?" must be |"error":"json: |"message":"json: /

const contentTypes = [
  'application/json',
  'application/json; charset=utf-16',
  'application/x-www-form-urlencoded',
  'text/plain',
  'multipart/form-data; boundary=XX',
  'multipart/form-data',
  'application/octet-stream',
  '',
]

const values = (dice: Dice): unknown =>
  dice.pick([
    null,
    true,
    false,
    0,
    -1,
    1e308,
    '',
    'tiny',
    'tiny:',
    '\u0000',
    '🦙'.repeat(50),
    'x'.repeat(2_000),
    [],
    {},
    [null],
    { a: { b: [] } },
    [{ role: 'user', content: '[[n=1]]' }],
    [{ role: 5, content: {} }],
  ])

const names = ['model', 'prompt', 'messages', 'input', 'stream', 'options', 'keep_alive', 'format', 'think', 'tools']
const moreNames = ['images', 'suffix', 'template', 'raw', 'max_tokens', 'shift', 'MODEL', 'name', '__proto__', 'source']

const members = (dice: Dice): [string, unknown][] =>
  Array.from({ length: dice.between(0, 6) }, () => [dice.pick([...names, ...moreNames]), values(dice)])

const valid = (dice: Dice): Record<string, unknown> => ({
  model: dice.pick(['tiny', 'embed', 'nope']),
  messages: [{ role: 'user', content: '[[n=1]]' }],
  prompt: '[[n=1]]',
  input: 'x',
  max_tokens: 5,
  stream: dice.chance(0.5),
})

const mutated = (bytes: Buffer, dice: Dice): Buffer => {
  const out = Buffer.from(bytes)
  for (let i = dice.between(1, 4); i > 0 && out.length > 0; i--)
    out[dice.between(0, out.length - 1)] = dice.between(0, 255)
  return dice.chance(0.3) ? out.subarray(0, dice.between(0, out.length)) : out
}

const makers: ((dice: Dice) => Buffer)[] = [
  (dice) => mutated(Buffer.from(JSON.stringify(valid(dice))), dice),
  (dice) => Buffer.from(JSON.stringify({ ...valid(dice), ...Object.fromEntries(members(dice)) })),
  (dice) => Buffer.from(JSON.stringify(Object.fromEntries(members(dice)))),
  (dice) => Buffer.from(Array.from({ length: dice.between(0, 200) }, () => dice.between(0, 255))),
  (dice) =>
    Buffer.from(
      dice.pick(['', '{', '[', '"', 'null', 'true', '5', '{}', '[]', '\ufeff{}', '{"model":"tiny"', '{"a":1,}']),
    ),
  (dice) => Buffer.from(`${'['.repeat(dice.between(1, 20_000))}`),
  (dice) => Buffer.from(`{"model":"tiny","x":${'{"y":'.repeat(dice.between(1, 5_000))}`),
  (dice) =>
    Buffer.from(
      `--XX\r\nContent-Disposition: form-data; name="${dice.pick(['model', 'file', '"'])}"\r\n\r\ntiny\r\n--XX${dice.pick(['', '--', '\r\n'])}`,
    ),
  (dice) => Bun.zstdCompressSync(JSON.stringify(valid(dice))),
]

const targets = ollamaRoutes.flatMap(({ methods, path }) =>
  methods.map((method) => ({ method, path: path.replace(/:\w+/, `sha256:${'0'.repeat(64)}`) })),
)

interface Case {
  readonly name: string
  readonly bytes: Buffer
}

const request = (dice: Dice): Case => {
  const { method, path } = dice.pick([...targets, ...targets.filter((one) => one.method === 'POST')])
  const body = dice.pick(makers)(dice)
  const type = dice.pick(contentTypes)
  const lines = [`${method} ${path}${dice.pick(['', '', '?x=1', '?%zz'])} HTTP/1.1`, 'Host: x.local']
  if (type !== '') lines.push(`Content-Type: ${type}`)
  if (dice.chance(0.1)) lines.push(`Content-Encoding: ${dice.pick(['zstd', 'gzip', 'nonsense'])}`)
  if (dice.chance(0.1)) lines.push(`Prefer: ${dice.pick(['wait=1', 'wait=-1', 'wait=x', ''])}`)
  lines.push(`Content-Length: ${body.length}`)
  const name = `${lines.join(' | ')} | ${JSON.stringify(body.toString('latin1', 0, 200))}`
  return { name, bytes: Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]) }
}

const isAlive = async () => {
  expect((await fetch(`${foreman.url}/livez`)).status).toBe(200)
}

describe('malformed bodies', () => {
  test(`of ${BODIES} kinds on all routes are answered from the table`, async () => {
    const dice = createDice(seedOf('fuzzed bodies'))
    const statuses: Record<number, number> = {}
    const surprises: string[] = []
    let next = 0
    const one = async (client: WireClient, { name, bytes }: Case): Promise<boolean> => {
      const answer = await within(HUNG_MS, name, client.send(bytes).answer)
      const { status } = answer
      statuses[status] = (statuses[status] ?? 0) + 1
      const isKnown = table.has(status) || (status >= 500 && theTargetsOwn.test(answer.body.toString()))
      if (!isKnown || answer.ending !== 'complete')
        surprises.push(`${status} ${answer.ending} ${name} ${answer.body.toString().slice(0, 200)}`)
      return !answer.headers.some(([key, value]) => /^connection$/i.test(key) && value === 'close')
    }
    const lane = async () => {
      let client = await openClient(foreman.port)
      for (; next < BODIES; next++) {
        if (next % 1_000 === 999) await isAlive()
        if (await one(client, request(dice))) continue
        client.drop()
        client = await openClient(foreman.port)
      }
      client.drop()
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    figure('R1', `${BODIES} malformed bodies: ${JSON.stringify(statuses)}`)
    expect(surprises).toEqual([])
    await isAlive()
    await idle(foreman)
    expect(simulator.counters().overlaps).toBe(0)
  }, 120_000)
})

const templates = [
  'GET /api/tags HTTP/1.1\r\nHost: x.local\r\nAccept: */*\r\n\r\n',
  'POST /api/chat HTTP/1.1\r\nHost: x.local\r\nContent-Length: 40\r\n\r\n{"model":"tiny","prompt":"x","stream":0}',
  'POST /api/show HTTP/1.1\r\nHost: x.local\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"model":"tiny"}\r\n0\r\n\r\n',
  'POST /v1/messages?a=b HTTP/1.1\r\nHost: localhost:11434\r\nX-Api-Key: k\r\nContent-Length: 2\r\n\r\n{}',
  'GET /swagger/json HTTP/1.1\r\nHost: x.local\r\nOrigin: http://localhost\r\n\r\n',
]

describe('mutated bytes on the socket', () => {
  test(`of ${MUTATIONS} kinds end with an answer or a closed connection, and foreman lives`, async () => {
    const dice = createDice(seedOf('mutated bytes'))
    const seen: Record<string, number> = {}
    let next = 0
    const one = async () => {
      const bytes = mutated(Buffer.from(dice.pick(templates)), dice)
      const client = await rawClient(foreman.port)
      client.send(bytes)
      // The half-close makes sure that nobody waits for what was cut off.
      client.finish()
      await within(15_000, JSON.stringify(bytes.toString('latin1')), client.closed())
      const status = /^HTTP\/1\.1 (\d{3})/.exec(client.received())?.[1] ?? 'closed'
      seen[status] = (seen[status] ?? 0) + 1
      client.destroy()
    }
    const lane = async () => {
      for (let number = next++; number < MUTATIONS; number = next++) {
        await one()
        if (number % 250 === 249) await isAlive()
      }
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    figure('R1', `${MUTATIONS} mutated requests: ${JSON.stringify(seen)}`)
    const unknown = Object.keys(seen).filter((key) => key !== 'closed' && key !== '505' && !table.has(Number(key)))
    expect(unknown).toEqual([])
    await isAlive()
    await idle(foreman)
  }, 120_000)
})
