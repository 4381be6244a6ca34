/** kill -9 of a managed Ollama, or of the foreman that manages it, again and again under load, and the count of what was promised; it must never repair. */
import { expect } from 'bun:test'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { definePart, type PartPlan } from '../../src/engine/part.ts'
import { manager } from '../../src/parts/manager/index.ts'
import { ladderLimits } from '../../src/parts/manager/ladder.ts'
import { createManager } from '../../src/parts/manager/part.ts'
import { spawnForeman, temporaryDirectory } from './binary.ts'
import { createDice } from './chance.ts'
import { runForeman } from './foreman.ts'
import { chat, inspect, prompt, withDatabase } from './lives.ts'
import { eventually } from './patience.ts'
import { createStandIn, freePort, type StandIn, stateOf } from './stand-in.ts'

const MODEL = 'm-a'
const WAITING_MAX = 4
const SIMULATED = { models: [{ name: MODEL }], firstTokenMs: 5, tokensPerSecond: 200 }

/** Without the caps, which would make 200 kills take three days: each death is the first. */
const untiring: PartPlan = definePart({
  ...manager,
  create: async (ports) =>
    createManager(ports, { limits: { ...ladderLimits, stepsMs: Array(10_000).fill(0), perCause: 1e6, inAll: 1e6 } }),
})

/** Processes that have ended and that nobody has asked how: the runners, and the children of this process. */
export const zombies = (): number =>
  readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name) || stateOf(Number(name)) !== 'Z') return false
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      // Those of process 1 are about to be taken away by it: nobody here can.
      return (stat.includes('(llama-server)') && parent !== 1) || parent === process.pid
    } catch {
      return false
    }
  }).length

const submit = async (url: string, key: string): Promise<string> => {
  const body = JSON.stringify(prompt(MODEL, `[[id=${key}]][[n=8]]`))
  const answer = await fetch(`${url}/jobs`, { method: 'POST', body, keepalive: false })
  expect(answer.status).toBe(202)
  return String(((await answer.json()) as { job_id: string }).job_id)
}

/** Jobs and calls that wait or run. */
const waiting = async (url: string): Promise<number> => {
  const { queue } = (await (await fetch(`${url}/healthz`)).json()) as { queue: { queued: number; working: number } }
  return queue.queued + queue.working
}

/** At any time at most one server, and a runner only beside it. */
const expectOne = (standIn: StandIn, most = 1) => expect(standIn.living().servers.length).toBeLessThanOrEqual(most)

const finals = (dataDir: string) =>
  withDatabase(dataDir, (db) => ({
    ...inspect(db),
    doneTwice: db
      .query<{ n: number }, []>(
        "SELECT count(*) AS n FROM (SELECT job_seq FROM transitions WHERE state = 'done' GROUP BY job_seq HAVING count(*) > 1)",
      )
      .get()?.n,
  }))

export interface ChildKills {
  readonly kills: number
  readonly jobs: number
  readonly calls: number
  readonly backMs: readonly number[]
  /** Tries that did not come up. */
  readonly repeated: readonly string[]
}

/** Kills the child of a foreman in this process; jobs and calls go on all the while. */
export const killTheChild = async (kills: number, seed: number): Promise<ChildKills> => {
  const dice = createDice(seed)
  const standIn = createStandIn({ forksRunner: true, simulator: SIMULATED })
  const directory = temporaryDirectory()
  const env = {
    FOREMAN_MANAGE: 'own',
    FOREMAN_OLLAMA_BIN: standIn.path,
    FOREMAN_DATA_DIR: directory.path,
    // The absences of all kills add up for a call that is interrupted again and again.
    FOREMAN_UNREACHABLE_DEADLINE: '1h',
  }
  const foreman = await runForeman(`http://127.0.0.1:${freePort()}`, env, { plans: [untiring] })
  let isOver = false
  const jobs: string[] = []
  const ends: number[] = []
  const keepSubmitting = async () => {
    while (!isOver) {
      if ((await waiting(foreman.url)) < WAITING_MAX) jobs.push(await submit(foreman.url, `j${jobs.length}`))
      await Bun.sleep(dice.random() * 120)
    }
  }
  const keepCalling = async () => {
    while (!isOver) {
      const end = await chat(foreman.url, { ...prompt(MODEL, '[[n=8]]'), stream: false })
      ends.push(end.kind === 'answered' ? end.status : 0)
    }
  }
  const restarts = () => foreman.lines.filter((line) => line.includes('"ollama_restarted"')).length
  const backMs: number[] = []
  try {
    await foreman.logged('ollama_started')
    const load = [keepSubmitting(), keepCalling()]
    for (let kill = 1; kill <= kills; kill++) {
      const server = await eventually(10_000, 'one server', async () => standIn.living().servers[0] ?? null)
      // The random moment itself, not a wait for something.
      await Bun.sleep(dice.random() * 400)
      const killedAt = performance.now()
      process.kill(server, 'SIGKILL')
      await eventually(20_000, `restart ${kill}`, async () => {
        expectOne(standIn)
        return restarts() >= kill ? true : null
      })
      backMs.push(performance.now() - killedAt)
      expect(standIn.living().servers).not.toContain(server)
    }
    isOver = true
    await Promise.all(load)
    await eventually(60_000, 'all jobs to end', async () => ((await waiting(foreman.url)) === 0 ? true : null))
    await eventually(5_000, 'no runner but the last', async () => (standIn.living().runners.length === 1 ? true : null))
    expect(zombies()).toBe(0)
    expect(ends.filter((status) => status !== 200)).toEqual([])
    expect(standIn.diary().filter(({ event }) => event === 'taken')).toEqual([])
    await foreman.stop()
    const left = await finals(directory.path)
    expect(left).toMatchObject({ integrity: 'ok', active: 0, doneTwice: 0 })
    expect(jobs.filter((id) => left.ids.get(id) !== 'async/done')).toEqual([])
    // A try that had to be repeated is within the ladder, and to be seen.
    const repeated = foreman.lines.filter((line) => line.includes('"ollama_restart_failed"'))
    return { kills, jobs: jobs.length, calls: ends.length, backMs, repeated }
  } finally {
    isOver = true
    await foreman.stop()
    standIn.remove()
    directory.remove()
  }
}

export interface ForemanKills {
  readonly kills: number
  readonly takenUp: number
  readonly started: number
  readonly jobs: number
}

/** A record of a process that is not the one it was: the next foreman must look twice before it touches anything. */
const fakeRecord = (dataDir: string, pid: number) => {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  writeFileSync(join(dataDir, 'ollama.json'), JSON.stringify({ pid, startTicks: 1, bootId }))
}

/** Kills foreman, the executable; now and then its child dies beside it, or a stranger got the child's pid. */
export const killTheForeman = async (kills: number, seed: number): Promise<ForemanKills> => {
  const dice = createDice(seed)
  const standIn = createStandIn({ forksRunner: true, simulator: SIMULATED })
  const directory = temporaryDirectory()
  const stranger = Bun.spawn(['sleep', '100000'], { detached: true, stdin: 'ignore' })
  const target = `http://127.0.0.1:${freePort()}`
  const env = {
    PATH: process.env['PATH'] ?? '',
    FOREMAN_MANAGE: 'own',
    FOREMAN_OLLAMA_BIN: standIn.path,
    FOREMAN_MAX_ATTEMPTS: '100',
  }
  const jobs: string[] = []
  let takenUp = 0
  const live = async (isLast: boolean) => {
    const daemon = await spawnForeman(target, directory.path, env)
    try {
      if (!isLast && dice.chance(0.3)) {
        await Bun.sleep(dice.random() * 120)
        return
      }
      const url = await daemon.ready()
      jobs.push(await submit(url, `f${jobs.length}`))
      if (!isLast) return void (await Bun.sleep(dice.random() * 400))
      const ids = new Set(jobs)
      await eventually(60_000, 'all jobs to end', async () => ((await waiting(url)) === 0 ? true : null))
      expect(ids.size).toBe(jobs.length)
      daemon.kill('SIGTERM')
      expect(await daemon.exited).toBe(0)
      // An orderly end leaves the server to the next foreman, too.
      expect(standIn.living().servers.length).toBe(1)
    } finally {
      daemon.kill('SIGKILL')
      await daemon.exited
      if (daemon.lines.some((line) => line.includes('"ollama_taken_up"'))) takenUp++
      expectOne(standIn)
    }
  }
  try {
    for (let kill = 0; kill < kills; kill++) {
      await live(false)
      const [server] = standIn.living().servers
      if (server !== undefined && dice.chance(0.2)) {
        process.kill(server, 'SIGKILL')
        await eventually(5_000, 'its end', async () => (standIn.living().servers.length === 0 ? true : null))
        if (dice.chance(0.5)) fakeRecord(directory.path, stranger.pid)
      }
    }
    await live(true)
    expect(stateOf(stranger.pid)).toBe('S')
    await eventually(5_000, 'no runner but the last', async () => (standIn.living().runners.length === 1 ? true : null))
    const events = standIn.diary().map(({ event }) => event)
    expect(events).not.toContain('taken')
    const left = await finals(directory.path)
    expect(left).toMatchObject({ integrity: 'ok', active: 0, doneTwice: 0 })
    expect(jobs.filter((id) => left.ids.get(id) !== 'async/done')).toEqual([])
    return { kills, takenUp, started: events.filter((event) => event === 'started').length, jobs: jobs.length }
  } finally {
    stranger.kill('SIGKILL')
    await stranger.exited
    standIn.remove()
    directory.remove()
  }
}
