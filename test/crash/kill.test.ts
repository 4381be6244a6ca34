/** kill -9 of the compiled executable at random moments under load: nothing acknowledged is lost, nothing is done twice. */
import { expect, test } from 'bun:test'
import { exitCode } from '../../src/cli/command.ts'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type Daemon, spawnForeman, temporaryDirectory } from '../support/binary.ts'
import { createDice, type Dice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import {
  asyncJob,
  type CallEnd,
  chat,
  eachLane,
  endingWith,
  inspect,
  isEmpty,
  jobId,
  prompt,
  type Remains,
  spread,
  submitAll,
  withDatabase,
} from '../support/lives.ts'

const KILLS = Number(process.env['FOREMAN_TEST_KILLS'] ?? 200)
const LANES = ['a', 'b'] as const
const MODELS = ['alpha', 'beta'] as const
const CLIENTS = 3
// Long enough for loads, first tokens, settles and several jobs after each other: all of them are hit.
const KILL_AFTER_MAX_MS = 90
// Some die while they open the database and recover it.
const KILLED_AT_START = 0.1
const START_MS = 60

interface Lane {
  readonly name: string
  readonly dataDir: string
  readonly simulator: Simulator
  readonly dice: Dice
  readonly startsMs: number[]
  readonly secondsMs: number[]
  readonly jobs: string[]
  readonly calls: Timed[]
  readonly killsMs: number[]
}

/** A call's end, and when its client had it. */
type Timed = CallEnd & { readonly atMs: number }

// Rows of calls are committed every 10 ms (ADR 0025); the client reads its answer a little later, and a busy machine turns late.
const NOTED_MS = 100

/** Asks again and again until the daemon is gone. */
const keepAsking = async (lane: Lane, url: string, over: AbortSignal): Promise<void> => {
  while (!over.aborted) {
    const body = {
      ...prompt(lane.dice.pick(MODELS), `[[n=${lane.dice.between(1, 8)}]]`),
      stream: lane.dice.chance(0.5),
    }
    const end = await chat(url, body)
    lane.calls.push({ ...end, atMs: performance.now() })
    if (end.kind === 'cut') return
  }
}

/** A second foreman on the same directory is refused, and says by whom. */
const refuseSecond = async (lane: Lane, pid: number): Promise<void> => {
  const second = await spawnForeman(lane.simulator.url, lane.dataDir)
  // One that were taken in would never end by itself.
  const running = second.logged('serving').then(() => second.kill('SIGKILL'))
  expect(await second.exited).toBe(exitCode.no)
  await expect(running).rejects.toThrow()
  lane.secondsMs.push(performance.now() - second.spawnedAt)
  expect(second.stderr()).toContain(`pid ${pid}`)
}

/** Ends at a random moment; the kill follows at once. */
const loadUntilKilled = async (lane: Lane, daemon: Daemon, number: number): Promise<void> => {
  const { dice } = lane
  if (dice.chance(KILLED_AT_START)) return Bun.sleep(dice.random() * START_MS)
  const url = await daemon.ready()
  lane.startsMs.push(performance.now() - daemon.spawnedAt)
  if (number % 20 === 1) await refuseSecond(lane, daemon.pid)
  const over = new AbortController()
  const clients = Array.from({ length: CLIENTS }, () => keepAsking(lane, url, over.signal))
  // The random moment itself, not a wait for something.
  await Bun.sleep(dice.random() * KILL_AFTER_MAX_MS)
  daemon.kill('SIGKILL')
  lane.killsMs.push(performance.now())
  over.abort()
  await Promise.all(clients)
}

const live = async (lane: Lane, number: number): Promise<void> => {
  const { dice, jobs, dataDir } = lane
  const fresh = Array.from({ length: dice.between(0, 3) }, (_, i) => jobId(lane.name, jobs.length + i))
  jobs.push(...fresh)
  const before = await withDatabase(dataDir, async (db) => {
    await submitAll(
      db,
      fresh.map((id) => asyncJob(id, dice.pick(MODELS), `[[n=${dice.between(1, 10)}]]`)),
    )
    return inspect(db)
  })
  expect(before.integrity).toBe('ok')
  expect(before.active).toBeLessThanOrEqual(1)
  const daemon = await spawnForeman(lane.simulator.url, dataDir)
  await endingWith(daemon, () => loadUntilKilled(lane, daemon, number))
}

/** Lets a last daemon finish everything that is owed, then stops it in good order. */
const drain = async (lane: Lane): Promise<Remains> => {
  const daemon = await spawnForeman(lane.simulator.url, lane.dataDir)
  await endingWith(daemon, async () => {
    await isEmpty(await daemon.ready())
    daemon.kill('SIGTERM')
    expect(await daemon.exited).toBe(0)
  })
  return withDatabase(lane.dataDir, inspect)
}

const nothingLost = (lane: Lane, remains: Remains) => {
  expect(remains.integrity).toBe('ok')
  expect(remains.active).toBe(0)
  expect(
    Object.keys(remains.counts).filter((key) => !/^(async\/done|sync\/(done|failed|cancelled))$/.test(key)),
  ).toEqual([])
  expect(lane.jobs.filter((id) => remains.ids.get(id) !== 'async/done')).toEqual([])
  // Of calls nothing is acknowledged: the rows of the last moment before a kill may be missing, and no others.
  const isLast = ({ atMs }: Timed) => lane.killsMs.some((killedMs) => Math.abs(killedMs - atMs) < NOTED_MS)
  const missing = lane.calls.filter(
    (end) => end.kind === 'answered' && end.jobId !== null && !remains.ids.has(end.jobId),
  )
  expect(missing.filter((end) => !isLast(end))).toEqual([])
  expect(missing.length).toBeLessThanOrEqual(CLIENTS * lane.killsMs.length)
}

test(`${KILLS} kill -9 at random moments lose nothing, do nothing twice and recover at once`, async () => {
  const dice = createDice(seedOf('kill'))
  const lives = Math.ceil(KILLS / LANES.length)
  const lanes = await Promise.all(
    LANES.map(async (name) => {
      const directory = temporaryDirectory()
      const simulator = await startSimulator({
        models: MODELS.map((model) => ({ name: model })),
        loadMs: 5,
        firstTokenMs: 2,
        tokensPerSecond: 600,
      })
      const lane: Lane = {
        name,
        dataDir: directory.path,
        simulator,
        dice: createDice(dice.between(0, 2 ** 31)),
        startsMs: [],
        secondsMs: [],
        jobs: [],
        calls: [],
        killsMs: [],
      }
      return { ...lane, directory }
    }),
  )
  try {
    await eachLane(lanes, async (lane) => {
      for (let number = 1; number <= lives; number++) await live(lane, number)
      const remains = await drain(lane)
      nothingLost(lane, remains)
      const { executions, overlaps } = lane.simulator.counters()
      const reexecuted = lane.jobs.reduce((sum, id) => sum + (executions[id] ?? 0) - 1, 0)
      expect(reexecuted).toBeLessThanOrEqual(lives)
      expect(overlaps).toBe(0)
      const artifacts = await withDatabase(lane.dataDir, (db) => db.query('SELECT count(*) AS n FROM artifacts').get())
      expect(artifacts).toEqual({ n: lane.jobs.length })
      const whole = lane.calls.filter((end) => end.kind === 'answered').length
      figure(
        'D1',
        `lane ${lane.name}: ${lives} kills, ${lane.jobs.length} async jobs, 0 lost, 0 done twice, ${reexecuted} re-executions, ${whole} calls answered, ${lane.calls.length - whole} cut`,
      )
    })
    const startsMs = lanes.flatMap((lane) => lane.startsMs)
    figure('D4', `start to readyz 200 after kill -9: ${spread(startsMs)}`)
    figure('L4', `second foreman refused: ${spread(lanes.flatMap((lane) => lane.secondsMs))}`)
    expect(Math.max(...startsMs)).toBeLessThan(1_000)
    expect(Math.max(...lanes.flatMap((lane) => lane.secondsMs))).toBeLessThan(1_000)
  } finally {
    for (const lane of lanes) {
      await lane.simulator.stop()
      lane.directory.remove()
    }
  }
}, 300_000)
