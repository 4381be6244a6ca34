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
let foreman: RunningForeman
let jobs: JobsClient

beforeAll(async () => {
  if (!mounted) return
  simulator = await startSimulator({ models: [{ name: 'tiny' }] })
  receiver = startReceiver()
  foreman = await runForeman(simulator.url, { FOREMAN_DATA_DIR: place, FOREMAN_LOG_LEVEL: 'error' })
  jobs = jobsClient(foreman)
  await polled(foreman)
})
afterAll(async () => {
  if (!mounted) return rmSync(place, { recursive: true })
  await foreman.stop()
  await receiver.stop()
  await simulator.stop()
  Bun.spawnSync(['umount', place])
  rmSync(place, { recursive: true })
})

/** Four at a time until one is refused; every answer that was given. */
const submitUntilRefused = async (round: number): Promise<JobsAnswer[]> => {
  const answers: JobsAnswer[] = []
  let number = 0
  const isRefused = () => answers.some(({ status }) => status === 503)
  const lane = async () => {
    while (!isRefused() && answers.length < SUBMITS_MAX) {
      const prompt = `[[n=1]] [[id=${round}-${number++}]] ${'x'.repeat(2_000)}`
      const body = JSON.stringify(chat(prompt, { state_webhook_url: receiver.url }))
      answers.push(await jobs.call('POST', '/jobs', { body }))
    }
  }
  await Promise.all([lane(), lane(), lane(), lane()])
  return answers
}

const read = <T>(sql: string): T[] => {
  const db = new Database(join(place, 'foreman.db'), { readonly: true })
  try {
    return db.query<T, []>(sql).all()
  } finally {
    db.close()
  }
}

const nothingOwed = () =>
  eventually(DRAIN_MAX_MS * 2, 'every webhook is told', async () =>
    (await (await fetch(`${foreman.url}/metrics`)).text()).includes('foreman_webhooks_owed 0\n') ? true : null,
  )

test.if(mounted)(
  'a full disk refuses submits with 503, keeps what was accepted and drains within 5 s of space',
  async () => {
    const accepted = new Set<string>()
    const drainsMs: number[] = []
    let refusals = 0
    for (let pages = 1; pages <= PAGES_MAX; pages += STEP) {
      fillUp(pages)
      const answers = await submitUntilRefused(pages)
      for (const { status, json, headers } of answers) {
        if (status === 202) accepted.add(String(json['job_id']))
        else expect([status, json['code'], headers.get('retry-after')]).toEqual([503, 'disk-full', '5'])
      }
      refusals += answers.filter(({ status }) => status === 503).length
      expect(answers.some(({ status }) => status === 503)).toBe(true)
      giveSpace()
      const startedMs = performance.now()
      await idle(foreman, 20_000)
      await nothingOwed()
      drainsMs.push(performance.now() - startedMs)
    }
    const rows = read<{ id: string; state: string; attempt: number; halves: number }>(
      `SELECT id, state, attempt, (SELECT count(*) FROM requests WHERE job_seq = seq) <> 1
       OR (SELECT count(*) FROM transitions WHERE job_seq = seq) <> 4
       OR (SELECT count(*) FROM deliveries WHERE job_seq = seq) <> 4
       OR (SELECT count(*) FROM artifacts WHERE job_seq = seq) <> 1 AS halves FROM jobs`,
    )
    expect(read('PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }])
    expect(rows.filter(({ halves }) => halves !== 0)).toEqual([])
    expect(rows.filter(({ state }) => state !== 'done')).toEqual([])
    expect(new Set(rows.map(({ id }) => id))).toEqual(accepted)
    const states = Map.groupBy(receiver.receipts, ({ body }) => body.job_id)
    expect([...accepted].filter((id) => (states.get(id)?.length ?? 0) < 4)).toEqual([])
    const { executions } = simulator.counters()
    expect(Object.keys(executions)).toHaveLength(accepted.size)
    expect(Object.values(executions).filter((times) => times > 1)).toEqual([])
    figure(
      'D3',
      `${drainsMs.length} full disks: ${accepted.size} accepted, ${refusals} refused with 503, 0 half-written, drained within ${Math.max(...drainsMs).toFixed(0)} ms`,
    )
    expect(Math.max(...drainsMs)).toBeLessThanOrEqual(DRAIN_MAX_MS)
  },
  600_000,
)
