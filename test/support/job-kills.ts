/** kill -9 of the executable again and again under submitters and a receiver that fails, then the count of what was promised; it must never repair. */
import type { Database } from 'bun:sqlite'
import { expect } from 'bun:test'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { spawnForeman, temporaryDirectory } from './binary.ts'
import { createDice, type Dice } from './chance.ts'
import { isEmpty, prompt, withDatabase } from './lives.ts'
import { eventually } from './patience.ts'
import { type Receipt, type Receiver, startReceiver } from './receiver.ts'

const MODELS = ['alpha', 'beta'] as const
const SUBMITTERS = 2
const KILL_AFTER_MAX_MS = 150
// Some die while they open the database and recover it.
const KILLED_AT_START = 0.1
const START_MS = 60
const FAILING = 0.3
// No webhook fails more often in a row: its waits would become minutes, and the drain with them.
const FAILURES_MAX = 3
// A submitter rests after so many jobs a life, or the drain would take longer than the kills.
const JOBS_PER_LIFE = 4

/** One foreman's lives on one directory. */
interface Lane {
  readonly name: string
  readonly dataDir: string
  readonly simulator: Simulator
  readonly receiver: Receiver
  readonly dice: Dice
  /** What each submitter asks for, by its Idempotency-Key; the job id once a 202 has said it. */
  readonly asked: Map<string, string | null>
}

/** What was counted after the drain. */
export interface KillCount {
  readonly kills: number
  readonly asked: number
  readonly acknowledged: number
  readonly jobs: number
  readonly lost: string[]
  readonly doneTwice: string[]
  readonly reexecutions: number
  readonly events: number
  readonly eventsMissing: string[]
  /** Jobs whose webhooks came for the first time in another order than they happened. */
  readonly outOfOrder: string[]
  readonly tries: number
  readonly overlaps: number
  readonly integrity: unknown
}

/** One POST /jobs; null when the daemon was gone before it answered. */
const submit = async (lane: Lane, url: string, key: string): Promise<string | null> => {
  // The same key must always bring the same body.
  const model = key.charCodeAt(key.length - 1) % 2 === 0 ? 'alpha' : 'beta'
  const body = { ...prompt(model, `[[id=${key}]][[n=3]]`), state_webhook_url: lane.receiver.url }
  try {
    const answer = await fetch(`${url}/jobs`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'idempotency-key': key },
      keepalive: false,
    })
    const text = await answer.text()
    if (answer.status !== 202) throw new Error(`POST /jobs: ${answer.status} ${text}`)
    return String(JSON.parse(text).job_id)
  } catch (error) {
    if (error instanceof Error && !error.message.startsWith('POST /jobs')) return null
    throw error
  }
}

/** Asks for new jobs, and first once more for the one that nobody acknowledged. */
const keepSubmitting = async (lane: Lane, url: string, submitter: number): Promise<void> => {
  for (let i = 0; i < JOBS_PER_LIFE; i++) {
    const mine = [...lane.asked].filter(([key]) => key.startsWith(`${lane.name}${submitter}-`))
    const unanswered = mine.find(([, jobId]) => jobId === null)?.[0]
    const key = unanswered ?? `${lane.name}${submitter}-${mine.length}`
    const jobId = await submit(lane, url, key)
    lane.asked.set(key, jobId)
    if (jobId === null) return
    await Bun.sleep(lane.dice.random() * 10)
  }
}

const live = async (lane: Lane): Promise<void> => {
  const { dice, dataDir, simulator } = lane
  const daemon = await spawnForeman(simulator.url, dataDir, { FOREMAN_MAX_ATTEMPTS: '100' })
  if (dice.chance(KILLED_AT_START)) {
    await Bun.sleep(dice.random() * START_MS)
    daemon.kill('SIGKILL')
    return void (await daemon.exited)
  }
  const url = await daemon.ready()
  const submitting = Array.from({ length: SUBMITTERS }, (_, i) => keepSubmitting(lane, url, i))
  // The random moment itself, not a wait for something.
  await Bun.sleep(dice.random() * KILL_AFTER_MAX_MS)
  daemon.kill('SIGKILL')
  await daemon.exited
  await Promise.all(submitting)
}

const nothingOwed = (url: string) =>
  eventually(120_000, 'every webhook is told', async () =>
    (await (await fetch(`${url}/metrics`)).text()).includes('foreman_webhooks_owed 0\n') ? true : null,
  )

/** A last daemon finishes what is owed and stops in good order. */
const drain = async (lane: Lane): Promise<void> => {
  const daemon = await spawnForeman(lane.simulator.url, lane.dataDir, { FOREMAN_MAX_ATTEMPTS: '100' })
  try {
    const url = await daemon.ready()
    // Whoever got no answer asks again with the same key: still one job.
    for (const [key, jobId] of lane.asked) if (jobId === null) lane.asked.set(key, await submit(lane, url, key))
    await isEmpty(url)
    await nothingOwed(url)
    daemon.kill('SIGTERM')
    expect(await daemon.exited).toBe(0)
  } finally {
    // A run that fails must not leave its daemon behind.
    daemon.kill('SIGKILL')
  }
}

interface Event {
  readonly id: string
  readonly sequence: number
  readonly state: string
}

const firstOrder = (receipts: readonly Receipt[]): Map<string, number[]> => {
  const order = new Map<string, number[]>()
  for (const { body } of receipts) {
    const seen = order.get(body.job_id) ?? []
    if (!seen.includes(body.sequence)) seen.push(body.sequence)
    order.set(body.job_id, seen)
  }
  return order
}

const counted = (db: Database, lane: Lane, kills: number): KillCount => {
  const events = db
    .query<Event, []>('SELECT j.id AS id, t.sequence, t.state FROM transitions t JOIN jobs j ON j.seq = t.job_seq')
    .all()
  const jobs = db.query<{ id: string; state: string }, []>('SELECT id, state FROM jobs').all()
  const stateOf = new Map(jobs.map(({ id, state }) => [id, state]))
  const acknowledged = [...lane.asked.values()].filter((id) => id !== null)
  const dones = Map.groupBy(
    events.filter(({ state }) => state === 'done'),
    ({ id }) => id,
  )
  const { receipts } = lane.receiver
  const taken = new Set(
    receipts.filter(({ status }) => status === 200).map(({ body }) => `${body.job_id} ${body.sequence} ${body.state}`),
  )
  const { executions, overlaps } = lane.simulator.counters()
  return {
    kills,
    asked: lane.asked.size,
    acknowledged: acknowledged.length,
    jobs: jobs.length,
    lost: acknowledged.filter((id) => stateOf.get(id) !== 'done'),
    doneTwice: [...dones].filter(([, all]) => all.length !== 1).map(([id]) => id),
    reexecutions: Object.values(executions).reduce((sum, times) => sum + times - 1, 0),
    events: events.length,
    eventsMissing: events.map(({ id, sequence, state }) => `${id} ${sequence} ${state}`).filter((e) => !taken.has(e)),
    outOfOrder: [...firstOrder(receipts)].filter(([, seen]) => seen.some((n, i) => n !== i + 1)).map(([id]) => id),
    tries: receipts.length,
    overlaps,
    integrity: db.query<{ integrity_check: string }, []>('PRAGMA integrity_check').get()?.integrity_check,
  }
}

/** `kills` lives on a directory of its own, a drain, and the count. */
export const killAgainAndAgain = async (name: string, kills: number, seed: number): Promise<KillCount> => {
  const dice = createDice(seed)
  const directory = temporaryDirectory()
  const failures = new Map<string, number>()
  const receiver = startReceiver(({ headers }) => {
    const id = headers.get('webhook-id') ?? ''
    const failed = failures.get(id) ?? 0
    if (failed >= FAILURES_MAX || !dice.chance(FAILING)) return 200
    failures.set(id, failed + 1)
    return dice.pick([500, 503, 302])
  })
  const simulator = await startSimulator({
    models: MODELS.map((model) => ({ name: model })),
    loadMs: 5,
    firstTokenMs: 2,
    tokensPerSecond: 600,
  })
  const lane: Lane = { name, dataDir: directory.path, simulator, receiver, dice, asked: new Map() }
  try {
    for (let life = 0; life < kills; life++) await live(lane)
    await drain(lane)
    return await withDatabase(lane.dataDir, (db) => counted(db, lane, kills))
  } finally {
    await simulator.stop()
    await receiver.stop()
    directory.remove()
  }
}

/** Two lanes at a time; every promise must hold in each. */
export const expectKillsLoseNothing = async (kills: number, seed: number): Promise<readonly KillCount[]> => {
  const lanes = await Promise.all(['a', 'b'].map((name, i) => killAgainAndAgain(name, Math.ceil(kills / 2), seed + i)))
  for (const count of lanes) {
    expect(count).toMatchObject({ lost: [], doneTwice: [], eventsMissing: [], outOfOrder: [] })
    expect(count).toMatchObject({ acknowledged: count.asked, jobs: count.asked, overlaps: 0, integrity: 'ok' })
    expect(count.reexecutions).toBeLessThanOrEqual(count.kills)
  }
  return lanes
}

/** One line of figures for a lane. */
export const killFigure = ({ kills, jobs, reexecutions, events, tries }: KillCount): string =>
  `${kills} kill -9: ${jobs} jobs acknowledged, 0 lost, 0 done twice, ${reexecutions} re-executions, ` +
  `${events} events in ${tries} tries, 0 missing, 0 out of order`
