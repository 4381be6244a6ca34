/** D3: a disk that is really full, with room for 1 to 200 more pages: submits are 503, nothing is half-written, and all goes on with the space. */
import { Database } from 'bun:sqlite'
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { idle, polled } from '../support/health.ts'
import { chat, type JobsAnswer, type JobsClient, jobsClient } from '../support/jobs-client.ts'
import { eventually } from '../support/patience.ts'
import { type Receiver, startReceiver } from '../support/receiver.ts'

const PAGES_MAX = 200
// Each twentieth write in the gate; FOREMAN_TEST_DISK_STEP=1 takes them all.
const STEP = Number(process.env['FOREMAN_TEST_DISK_STEP'] ?? 20)
const PAGE_BYTES = 4_096
const DISK_BYTES = 64 * 1024 * 1024
const SUBMITS_MAX = 2_000
const DRAIN_MAX_MS = 5_000

const place = mkdtempSync(join(tmpdir(), 'foreman-disk-'))
// A small disk of its own needs root; elsewhere test/store/full-disk.test.ts makes SQLite itself say that it is full.
const mounted = Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', place]).exitCode === 0
const filler = join(place, 'filler')

const fillUp = (pagesLeft: number) => {
  const { bavail, bsize } = statfsSync(place)
  writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - pagesLeft * PAGE_BYTES)))
}
const giveSpace = () => rmSync(filler)

let simulator: Simulator
let receiver: Receiver
beforeAll(async () => {
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  receiver = startReceiver()
})
afterAll(async () => {
  await receiver.stop()
  await simulator.stop()
  if (mounted) Bun.spawnSync(['umount', place])
  rmSync(place, { recursive: true })
})

let number = 0

/** Four at a time until one is refused; every answer that was given. */
const submitUntilRefused = async (jobs: JobsClient): Promise<JobsAnswer[]> => {
  const answers: JobsAnswer[] = []
  const isRefused = () => answers.some(({ status }) => status === 503)
  const lane = async () => {
    while (!isRefused() && answers.length < SUBMITS_MAX) {
      const prompt = `[[n=1]] [[id=${number++}]] ${'x'.repeat(8_000)}`
      const body = JSON.stringify(chat(prompt, { state_webhook_url: receiver.url }))
      answers.push(await jobs.call('POST', '/jobs', { body }))
    }
  }
  await Promise.all([lane(), lane(), lane(), lane()])
  return answers
}

const drained = async (foreman: RunningForeman): Promise<number> => {
  const startedMs = performance.now()
  await idle(foreman, DRAIN_MAX_MS * 2)
  await eventually(DRAIN_MAX_MS * 2, 'every webhook is told', async () =>
    (await (await fetch(`${foreman.url}/metrics`)).text()).includes('foreman_webhooks_owed 0\n') ? true : null,
  )
  return performance.now() - startedMs
}

/** Every job is done with all that belongs to it, and there is none that nobody was promised. */
const expectWhole = (dataDir: string, accepted: ReadonlySet<string>) => {
  const db = new Database(join(dataDir, 'foreman.db'), { readonly: true })
  const rows = db
    .query<{ id: string; state: string; halves: number }, []>(
      `SELECT id, state, (SELECT count(*) FROM requests WHERE job_seq = seq) <> 1
         OR (SELECT count(*) FROM transitions WHERE job_seq = seq) <> 4
         OR (SELECT count(*) FROM webhooks w WHERE w.job_seq = jobs.seq AND (w.due_at IS NULL) =
           (w.sequence > (SELECT max(t.sequence) FROM transitions t WHERE t.job_seq = jobs.seq))) <> 1
         OR (SELECT count(*) FROM artifacts WHERE job_seq = seq) <> 1 AS halves FROM jobs`,
    )
    .all()
  expect(db.query('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
  db.close()
  expect(rows.filter(({ state, halves }) => state !== 'done' || halves !== 0)).toEqual([])
  expect(new Set(rows.map(({ id }) => id))).toEqual(new Set(accepted))
  const told = Map.groupBy(receiver.receipts, ({ body }) => body.job_id)
  expect([...accepted].filter((id) => (told.get(id)?.length ?? 0) < 4)).toEqual([])
}

interface Filled {
  readonly accepted: number
  readonly refused: number
  readonly drainsMs: readonly number[]
}

/** One foreman whose disk is filled, and freed again, for each of these rooms. */
const fillAgainAndAgain = async (rooms: readonly number[]): Promise<Filled> => {
  const dataDir = join(place, 'data')
  const foreman = await runForeman(simulator.url, { FOREMAN_DATA_DIR: dataDir, FOREMAN_LOG_LEVEL: 'error' })
  const accepted = new Set<string>()
  const drainsMs: number[] = []
  let refused = 0
  try {
    await polled(foreman)
    for (const pages of rooms) {
      fillUp(pages)
      const answers = await submitUntilRefused(jobsClient(foreman))
      const refusals = answers.filter(({ status }) => status !== 202)
      for (const { json, status } of answers) if (status === 202) accepted.add(String(json['job_id']))
      for (const { status, json, headers } of refusals)
        expect([status, json['code'], headers.get('retry-after')]).toEqual([503, 'disk-full', '5'])
      expect(refusals.length).toBeGreaterThan(0)
      refused += refusals.length
      giveSpace()
      drainsMs.push(await drained(foreman))
    }
    expectWhole(dataDir, accepted)
  } finally {
    await foreman.stop()
    rmSync(dataDir, { recursive: true })
  }
  return { accepted: accepted.size, refused, drainsMs }
}

test.if(mounted)(
  'a full disk refuses submits with 503, keeps what was accepted and drains within 5 s of space',
  async () => {
    const rooms = Array.from({ length: PAGES_MAX / STEP }, (_, i) => 1 + i * STEP)
    const filled: Filled[] = []
    // What was accepted stays on the disk, so each foreman gets a few rooms only.
    while (rooms.length > 0) filled.push(await fillAgainAndAgain(rooms.splice(0, 20)))
    const { executions } = simulator.counters()
    const accepted = filled.reduce((sum, one) => sum + one.accepted, 0)
    const refused = filled.reduce((sum, one) => sum + one.refused, 0)
    const drainsMs = filled.flatMap((one) => one.drainsMs)
    expect(Object.keys(executions)).toHaveLength(accepted)
    expect(Object.values(executions).filter((times) => times > 1)).toEqual([])
    figure(
      'D3',
      `${drainsMs.length} full disks: ${accepted} accepted, ${refused} refused with 503, 0 half-written, 0 done twice, drained within ${Math.max(...drainsMs).toFixed(0)} ms`,
    )
    expect(Math.max(...drainsMs)).toBeLessThanOrEqual(DRAIN_MAX_MS)
  },
  600_000,
)
