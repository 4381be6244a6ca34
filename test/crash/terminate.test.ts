/** SIGTERM to the compiled executable at random moments: it drains, tells everybody, loses nothing and goes. */
import { expect, test } from 'bun:test'
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
  jobId,
  prompt,
  spread,
  submitAll,
  withDatabase,
} from '../support/lives.ts'

const STOPS = Number(process.env['FOREMAN_TEST_STOPS'] ?? 200)
const LANES = ['a', 'b'] as const
const MODELS = ['alpha', 'beta'] as const
const MOMENTS = ['idle', 'arriving', 'loading', 'streaming', 'waiting', 'async'] as const
const GRACE_MS = 10_000
const debug = { FOREMAN_LOG_LEVEL: 'debug' }

interface Lane {
  readonly name: string
  readonly dataDir: string
  readonly simulator: Simulator
  readonly dice: Dice
  readonly stopsMs: number[]
  readonly notReady: Record<string, number>
  jobs: number
}

/** What foreman says about itself while it drains; the listener may be closed by then. */
const readiness = async (url: string): Promise<string> => {
  const reply = await fetch(`${url}/readyz`, { keepalive: false }).catch(() => null)
  return reply === null ? 'closed' : String(reply.status)
}

const clientsAt = { idle: 0, arriving: 3, loading: 1, streaming: 1, waiting: 5, async: 1 } as const

/** Every call that was taken gets a whole answer: its own, or foreman's 503. */
const toldAll = (ends: readonly CallEnd[]) => {
  for (const end of ends) {
    if (end.kind === 'cut') throw new Error('a client that was taken in was cut off')
    expect([200, 503]).toContain(end.status)
    expect(end.text).toContain(end.status === 200 ? '"done":true' : 'server busy, please try again')
  }
}

/** Brings the daemon to this moment, stops it and hears how everybody was told. */
const stopAt = async (lane: Lane, daemon: Daemon, moment: (typeof MOMENTS)[number]): Promise<void> => {
  const { dice } = lane
  const url = await daemon.ready()
  const clients = Array.from({ length: clientsAt[moment] }, () =>
    chat(url, prompt(dice.pick(MODELS), `[[n=${dice.between(1, 40)}]]`)),
  )
  // Those whose requests are still arriving when the listener closes may be cut; the others may not.
  if (moment !== 'arriving' && clients.length > 0) await daemon.logged('job_submitted', clients.length)
  if (moment === 'streaming') await daemon.logged('job_working')
  // The random moment itself, not a wait for something.
  await Bun.sleep(dice.random() * 40)
  const signalledAt = performance.now()
  daemon.kill('SIGTERM')
  await daemon.logged('draining')
  const said = await readiness(url)
  expect(['503', 'closed']).toContain(said)
  lane.notReady[said] = (lane.notReady[said] ?? 0) + 1
  expect(await daemon.exited).toBe(0)
  lane.stopsMs.push(performance.now() - signalledAt)
  const ends = await Promise.all(clients)
  toldAll(moment === 'arriving' ? ends.filter(({ kind }) => kind === 'answered') : ends)
}

const live = async (lane: Lane): Promise<void> => {
  const { dice, dataDir, simulator } = lane
  const moment = dice.pick(MOMENTS)
  if (moment === 'async') {
    const fresh = Array.from({ length: dice.between(1, 6) }, () =>
      asyncJob(jobId(lane.name, lane.jobs++), dice.pick(MODELS), `[[n=${dice.between(1, 40)}]]`),
    )
    await withDatabase(dataDir, (db) => submitAll(db, fresh))
  }
  const daemon = await spawnForeman(simulator.url, dataDir, debug)
  await endingWith(daemon, () => stopAt(lane, daemon, moment))
}

/** Graceful stops cost no attempt and abandon nobody. */
const intact = (lane: Lane) =>
  withDatabase(lane.dataDir, (db) => {
    const { integrity, active, counts } = inspect(db)
    expect(integrity).toBe('ok')
    expect(active).toBe(0)
    const wrong = db
      .query(
        `SELECT id, kind, state, attempt, error_code FROM jobs WHERE error_code = 'abandoned'
          OR kind = 'sync' AND completed_at IS NULL OR kind = 'async' AND attempt <> (state = 'done')`,
      )
      .all()
    expect(wrong).toEqual([])
    return counts
  })

test(`${STOPS} SIGTERM at random moments exit 0 within the grace and lose nothing`, async () => {
  const dice = createDice(seedOf('terminate'))
  const stops = Math.ceil(STOPS / LANES.length)
  const lanes = await Promise.all(
    LANES.map(async (name) => {
      const directory = temporaryDirectory()
      const models = MODELS.map((model) => ({ name: model }))
      const simulator = await startSimulator({ models, loadMs: 25, firstTokenMs: 5, tokensPerSecond: 500 })
      const lane: Lane = {
        name,
        dataDir: directory.path,
        simulator,
        dice: createDice(dice.between(0, 2 ** 31)),
        stopsMs: [],
        notReady: {},
        jobs: 0,
      }
      return { lane, directory }
    }),
  )
  try {
    await eachLane(lanes, async ({ lane }) => {
      for (let number = 0; number < stops; number++) await live(lane)
      const counts = await intact(lane)
      const left = counts['async/queued'] ?? 0
      figure('L1', `lane ${lane.name}: ${stops} SIGTERM, 0 lost, ${left} async jobs still wait, no attempt spent`)
      figure('L1', `lane ${lane.name}: readyz while draining: ${JSON.stringify(lane.notReady)}`)
    })
    const stopsMs = lanes.flatMap(({ lane }) => lane.stopsMs)
    figure('L1', `SIGTERM to exit: ${spread(stopsMs)}`)
    expect(Math.max(...stopsMs)).toBeLessThanOrEqual(GRACE_MS + 1_000)
  } finally {
    for (const { lane, directory } of lanes) {
      await lane.simulator.stop()
      directory.remove()
    }
  }
}, 300_000)

interface Endless {
  readonly daemon: Daemon
  readonly url: string
  readonly dataDir: string
  stop(): Promise<void>
}

/** A daemon with a generation on it that outlasts every grace: of a client, or of an async job. */
const startEndless = async (
  kind: 'sync' | 'async',
): Promise<Endless & { readonly running: Promise<CallEnd> | null }> => {
  const directory = temporaryDirectory()
  const simulator = await startSimulator({ models: [{ name: 'alpha' }], tokensPerSecond: 20 })
  const script = '[[n=100000]]'
  if (kind === 'async')
    await withDatabase(directory.path, (db) => submitAll(db, [asyncJob(jobId('e', 1), 'alpha', script)]))
  const daemon = await spawnForeman(simulator.url, directory.path, debug)
  const url = await daemon.ready()
  const running = kind === 'sync' ? chat(url, prompt('alpha', script)) : null
  await daemon.logged('job_working')
  return {
    daemon,
    url,
    running,
    dataDir: directory.path,
    async stop() {
      daemon.kill('SIGKILL')
      await daemon.exited
      await simulator.stop()
      directory.remove()
    },
  }
}

const rowsOf = (dataDir: string) =>
  withDatabase(dataDir, (db) => db.query('SELECT kind, state, attempt FROM jobs ORDER BY seq').all())

test('a generation that outlasts the grace ends with it: an async job is put back with its attempt, a client is told', async () => {
  const beyondMs = await Promise.all(
    (['sync', 'async', 'sync', 'async'] as const).map(async (kind) => {
      const endless = await startEndless(kind)
      try {
        const { daemon, url } = endless
        const waiting = [chat(url, prompt('alpha', 'hi')), chat(url, prompt('alpha', 'hi'))]
        await daemon.logged('job_submitted', kind === 'sync' ? 3 : 2)
        const signalledAt = performance.now()
        daemon.kill('SIGTERM')
        await daemon.logged('draining')
        // Those who wait are told at once, long before the grace is over.
        toldAll(await Promise.all(waiting))
        expect(performance.now() - signalledAt).toBeLessThan(1_000)
        expect(await readiness(url)).toBe('503')
        expect((await fetch(`${url}/livez`, { keepalive: false })).status).toBe(200)
        toldAll([await chat(url, prompt('alpha', 'hi'))])
        expect(await daemon.exited).toBe(0)
        const tookMs = performance.now() - signalledAt
        const rows = await rowsOf(endless.dataDir)
        if (kind === 'async') expect(rows[0]).toEqual({ kind: 'async', state: 'queued', attempt: 0 })
        const end = await endless.running
        if (end !== null) expect(end.kind === 'answered' && end.text.trimEnd().split('\n').at(-1)).toContain('"error"')
        return tookMs - GRACE_MS
      } finally {
        await endless.stop()
      }
    }),
  )
  figure('L1', `exit beyond a grace that was used up: ${spread(beyondMs)}`)
  expect(Math.min(...beyondMs)).toBeGreaterThanOrEqual(-50)
  expect(Math.max(...beyondMs)).toBeLessThanOrEqual(1_000)
}, 60_000)

test('a second SIGTERM ends it at once, and the next start puts its job back with the attempt counted', async () => {
  const endless = await startEndless('async')
  try {
    endless.daemon.kill('SIGTERM')
    await endless.daemon.logged('draining')
    const signalledAt = performance.now()
    endless.daemon.kill('SIGTERM')
    expect(await endless.daemon.exited).toBe(130)
    const tookMs = performance.now() - signalledAt
    figure('L1', `second SIGTERM to exit: ${tookMs.toFixed(0)} ms`)
    expect(tookMs).toBeLessThan(1_000)
    expect(await rowsOf(endless.dataDir)).toEqual([{ kind: 'async', state: 'working', attempt: 1 }])
    // Nothing listens there: the job waits, and what the start made of it can be read.
    const next = await spawnForeman('http://127.0.0.1:9', endless.dataDir)
    await next.ready()
    expect(await next.logged('recovered')).toMatchObject({ requeued: 1, abandoned: 0, exhausted: 0 })
    next.kill('SIGTERM')
    expect(await next.exited).toBe(0)
    expect(await rowsOf(endless.dataDir)).toEqual([{ kind: 'async', state: 'queued', attempt: 1 }])
  } finally {
    await endless.stop()
  }
})
