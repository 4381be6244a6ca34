/** R1 on /jobs: whatever is posted, the answer is a job or a problem from the table, and foreman lives. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type ProblemCode, problems } from '../../src/domain/job/problem.ts'
import { PROBLEM_TYPE } from '../../src/http/jobs/problem.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { createDice, type Dice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { idle, polled } from '../support/health.ts'
import { within } from '../support/patience.ts'
import { transcriptModels } from '../support/transcript-models.ts'
import { openClient, type WireAnswer } from '../support/wire-client.ts'

const BODIES = Number(process.env['FOREMAN_TEST_JOB_BODIES'] ?? 10_000)
const LANES = 8
const BUG = 500
const HUNG_MS = 10_000

const contentTypes = [
  'application/json',
  'application/json; charset=utf-16',
  'application/x-www-form-urlencoded',
  'text/plain',
  'multipart/form-data; boundary=XX',
  'application/octet-stream',
  '',
]

let simulator: Simulator
let foreman: RunningForeman

beforeAll(async () => {
  simulator = await startSimulator({ models: transcriptModels })
  foreman = await runForeman(simulator.url, { FOREMAN_MAX_BODY: '1MiB', FOREMAN_LOG_LEVEL: 'error' })
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  await simulator.stop()
})

const strange = (dice: Dice): unknown =>
  dice.pick([
    null,
    true,
    0,
    -1,
    1e308,
    '',
    'tiny',
    'tiny:',
    'a/b/c/d:e',
    '\u0000',
    '🦙'.repeat(50),
    'x'.repeat(2_000),
    'http://169.254.169.254/latest',
    'http://127.0.0.1:9/hook',
    'file:///etc/passwd',
    [],
    {},
    [null],
    { a: { b: [] } },
    [{ role: 5, content: {} }],
  ])

const names = ['model', 'prompt', 'messages', 'stream', 'options', 'keep_alive', 'format', 'think', 'tools', 'images']
const moreNames = [
  'state_webhook_url',
  'STATE_WEBHOOK_URL',
  'Model',
  'suffix',
  'template',
  'raw',
  '__proto__',
  'stream',
]

const members = (dice: Dice) =>
  Object.fromEntries(
    Array.from({ length: dice.between(0, 6) }, () => [dice.pick([...names, ...moreNames]), strange(dice)]),
  )
const valid = (dice: Dice) => ({
  model: dice.pick(['tiny', 'TINY:latest', 'nope']),
  [dice.pick(['messages', 'prompt'])]: dice.pick<unknown>(['hi', [{ role: 'user', content: '[[n=1]]' }]]),
  state_webhook_url: dice.pick<unknown>([undefined, null, '', 5]),
})

const damaged = (text: string, dice: Dice): Buffer => {
  const bytes = Buffer.from(text)
  for (let i = dice.between(1, 4); i > 0; i--) bytes[dice.between(0, bytes.length - 1)] = dice.between(0, 255)
  return dice.chance(0.3) ? bytes.subarray(0, dice.between(0, bytes.length)) : bytes
}

const makers: readonly ((dice: Dice) => Buffer)[] = [
  (dice) => damaged(JSON.stringify(valid(dice)), dice),
  (dice) => Buffer.from(JSON.stringify({ ...valid(dice), ...members(dice) })),
  (dice) => Buffer.from(JSON.stringify(members(dice))),
  (dice) => Buffer.from(Array.from({ length: dice.between(0, 200) }, () => dice.between(0, 255))),
  (dice) => Buffer.from(dice.pick(['', '{', '[', '"', 'null', 'true', '5', '{}', '[]', '\ufeff{}', '{"a":1,}'])),
  (dice) => Buffer.from('['.repeat(dice.between(1, 20_000))),
  (dice) => Buffer.from(`{"model":"tiny","prompt":"x","y":${'{"y":'.repeat(dice.between(1, 5_000))}`),
  (dice) =>
    Buffer.from(`--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny\r\n--XX${dice.pick(['', '--'])}`),
  (dice) => Buffer.from(new URLSearchParams({ model: 'tiny', prompt: dice.pick(['', 'x']) }).toString()),
]

const postOf = (body: Buffer, type: string, dice: Dice): Buffer => {
  const lines = [`POST /jobs${dice.pick(['', '', '', '?', '?x=1'])} HTTP/1.1`, 'Host: x.local']
  if (type !== '') lines.push(`Content-Type: ${type}`)
  if (dice.chance(0.05)) lines.push(`Content-Encoding: ${dice.pick(['zstd', 'gzip', 'nonsense'])}`)
  if (dice.chance(0.05)) lines.push(`Prefer: ${dice.pick(['wait=0', 'wait=-1', 'wait=x', 'respond-async', ''])}`)
  if (dice.chance(0.05)) lines.push(`Idempotency-Key: ${dice.pick(['k', 'a b', 'ü', '', 'k'.repeat(300)])}`)
  lines.push(`Content-Length: ${body.length}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body])
}

/** Why an answer is not from the table, or null. */
const faultOf = ({ status, headers, body, ending }: WireAnswer): string | null => {
  const type = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? ''
  if (ending !== 'complete') return `it ended as ${ending}`
  if (status === 200 || status === 202) return type.startsWith('application/json') ? null : `type ${type}`
  if (type !== PROBLEM_TYPE) return `${status} as ${type}`
  const { code, status: said } = JSON.parse(body.toString()) as { code: ProblemCode; status: number }
  if (status === BUG) return 'a bug'
  return problems[code]?.status === status && said === status ? null : `${status} with code ${code}`
}

test(`${BODIES} malformed bodies under each of ${contentTypes.length} content types get a job or a problem, never a bug`, async () => {
  const seed = seedOf('malformed job bodies')
  const dice = createDice(seed)
  const cases = Array.from({ length: BODIES }, () => dice.pick(makers)(dice))
  const faults: string[] = []
  const statuses = new Map<number, number>()
  let next = 0
  const lane = async () => {
    let client = await openClient(foreman.port)
    for (let i = next++; i < cases.length * contentTypes.length; i = next++) {
      const body = cases[Math.floor(i / contentTypes.length)] ?? Buffer.alloc(0)
      const type = contentTypes[i % contentTypes.length] ?? ''
      const answer = await within(
        HUNG_MS,
        `POST /jobs ${i}`,
        client.send(postOf(body, type, createDice(seed + i))).answer,
      )
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      const fault = faultOf(answer)
      if (fault !== null) faults.push(`${fault}: ${type} ${JSON.stringify(body.toString('latin1', 0, 200))}`)
      if (answer.headers.some(([name, value]) => name.toLowerCase() === 'connection' && value === 'close')) {
        client.close()
        client = await openClient(foreman.port)
      }
    }
    client.close()
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  expect(faults.slice(0, 5)).toEqual([])
  expect((await fetch(`${foreman.url}/livez`)).status).toBe(200)
  const seen = [...statuses].sort(([a], [b]) => a - b).map(([status, n]) => `${status}: ${n}`)
  figure(
    'R1',
    `${BODIES} bodies x ${contentTypes.length} content types to POST /jobs: 0 outside the table (${seen.join(', ')})`,
  )
  await idle(foreman, 60_000)
}, 180_000)
