/** Sweeps a large database with the janitor under a light load, a process of its own, and tells how long its event loop stood still. */
import type { Database } from 'bun:sqlite'
import { join } from 'node:path'
import { systemClock } from '../src/clock.ts'
import { createJanitor } from '../src/engine/janitor.ts'
import { openDatabase } from '../src/store/database.ts'
import { createLedger } from '../src/store/ledger.ts'
import { createLog } from '../src/store/log.ts'
import { createQueue, type Queue } from '../src/store/queue.ts'
import { createSweep, type Sweep } from '../src/store/sweep.ts'
import { KEY } from './finished.ts'
import type { SweepTold } from './sweep.ts'

const [directory = '', sweepMs = ''] = process.argv.slice(2)
// The pauses are a tenth of what they are in a foreman, so that a million jobs are swept within minutes.
const PAUSES_SHORTER = 10
const LOAD_EVERY_MS = 20
const STALL_MS = 20

/** Looks every millisecond how late it is. */
const createLateness = () => {
  let longestMs = 0
  let stalls = 0
  let lastAt = performance.now()
  let timer: Timer | undefined
  const look = () => {
    const now = performance.now()
    const lateMs = now - lastAt - 1
    longestMs = Math.max(longestMs, lateMs)
    if (lateMs > STALL_MS) stalls++
    lastAt = now
    timer = setTimeout(look, 1)
  }
  look()
  return {
    /** The longest since it was last asked. */
    takeMs() {
      const taken = longestMs
      longestMs = 0
      return taken
    },
    stalls: () => stalls,
    stop: () => clearTimeout(timer),
  }
}

/** Jobs that come, run and are done meanwhile. */
const runJob = async (queue: Queue, i: number) => {
  const request = new Uint8Array(2_000)
  const rest = { endpoint: '/api/chat', model: 'bench', residencyKey: KEY, maxAttempts: 3, webhookUrl: null }
  await queue.submit({ id: `01LOAD${i}`, kind: 'async', request, ...rest }, Date.now())
  const keys = { residentKeys: [KEY], loadedKeys: [KEY] }
  const query = { now: Date.now(), slot: 0, activeKey: null, ...keys, agedBefore: null }
  const claimed = await queue.claim(query)
  if (claimed.kind !== 'job') throw new Error('the job of the load is not there')
  const usage = { promptTokens: 1, completionTokens: 1, totalDurationMs: 1 }
  await queue.settle(claimed.job, { to: 'done', usage }, Date.now())
}

/** The sweep, each step timed. */
const timed = (sweep: Sweep, stepsMs: Record<string, number>): Sweep => {
  const time = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now()
    const value = await step()
    stepsMs[name] = Math.max(stepsMs[name] ?? 0, performance.now() - startedAt)
    return value
  }
  return {
    deleteFinished: (...args) => time('delete', () => sweep.deleteFinished(...args)),
    shrink: () => time('shrink', () => sweep.shrink()),
    rest: () => sweep.rest(),
  }
}

const measure = async (db: Database, path: string): Promise<SweepTold> => {
  const stepsMs: Record<string, number> = {}
  const lateness = createLateness()
  const log = createLog({ db, path, clock: systemClock, isInPlace: () => true })
  const ledger = createLedger(db, null, undefined, log)
  const queue = createQueue({ db, ledger, maxQueue: 100 })
  let over = false
  const load = (async () => {
    for (let i = 0; !over; i++) {
      await runJob(queue, i)
      await Bun.sleep(LOAD_EVERY_MS)
    }
  })()
  // Cold code first: a second of the load alone, which is also what the sweep is seen beside.
  await Bun.sleep(500)
  lateness.takeMs()
  await Bun.sleep(1_500)
  const aloneMs = lateness.takeMs()
  const stallsBefore = lateness.stalls()
  const startedAt = performance.now()
  await new Promise<void>((resolve) => {
    const janitor = createJanitor({
      sweep: timed(createSweep({ db, ledger, clock: systemClock, log }), stepsMs),
      clock: { ...systemClock, after: (delayMs, run) => systemClock.after(delayMs / PAUSES_SHORTER, run) },
      emit: ({ event }) => event === 'swept' && resolve(),
      jobTtlMs: 3_600_000,
      isBusy: () => true,
    })
    janitor.start()
    setTimeout(resolve, Number(sweepMs))
  })
  const tookMs = performance.now() - startedAt
  const longestMs = lateness.takeMs()
  over = true
  await load
  lateness.stop()
  const stalls = lateness.stalls() - stallsBefore
  return { stalls, aloneMs, longestMs, tookMs, stepsMs }
}

const path = join(directory, 'foreman.db')
const opened = openDatabase(path)
if (opened.kind !== 'opened') throw new Error(opened.message)
process.send?.({ result: await measure(opened.db, path) })
process.exit()
