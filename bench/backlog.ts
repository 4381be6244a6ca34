/** What a claim costs with a short and a long backlog; straight on the store, in a directory of its own. */
import { join } from 'node:path'
import type { NewJob } from '../src/domain/job/job.ts'
import { openDatabase } from '../src/store/database.ts'
import { createLedger } from '../src/store/ledger.ts'
import { createQueue, type Queue } from '../src/store/queue.ts'
import { temporaryDirectory } from '../test/support/binary.ts'
import { type Amounts, count, promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

const KEYS = 5
const CLAIMS = 300
// 100 writes share a transaction: more at a time would only fill the memory.
const FILL_AT_ONCE = 10_000

const BODY = new TextEncoder().encode('{}')

const jobAt = (i: number): NewJob => ({
  id: `01BENCH${String(i).padStart(19, '0')}`,
  kind: 'async',
  endpoint: '/api/chat',
  model: `bench${i % KEYS}`,
  residencyKey: `registry.ollama.ai/library/bench${i % KEYS}:latest`,
  maxAttempts: 3,
  request: BODY,
  webhookUrl: null,
})

const fill = async (queue: Queue, from: number, to: number): Promise<void> => {
  for (let start = from; start < to; start += FILL_AT_ONCE) {
    const end = Math.min(to, start + FILL_AT_ONCE)
    await Promise.all(Array.from({ length: end - start }, (_, i) => queue.submit(jobAt(start + i), start + i)))
  }
}

/** Claims for the loaded model and puts each job back, so that the backlog stays as long as it is. */
const claimMs = async (queue: Queue): Promise<number> => {
  const measured: number[] = []
  const residentKeys = [jobAt(KEYS - 1).residencyKey]
  const query = { now: 1, slot: 0, activeKey: null, residentKeys, loadedKeys: [], agedBefore: null }
  for (let i = 0; i < CLAIMS; i++) {
    const startedAt = performance.now()
    const claimed = await queue.claim(query)
    measured.push(performance.now() - startedAt)
    if (claimed.kind !== 'job') throw new Error('the backlog is empty')
    await queue.settle(claimed.job, { to: 'queued', notBefore: null, attemptReturned: true, deferred: false }, 1)
  }
  return median(measured)
}

const SHORT = 1_000

/** Fills up to `long` waiting jobs. */
export const backlogRows = async ({ many: long }: Amounts): Promise<Row[]> => {
  const directory = temporaryDirectory()
  const opened = openDatabase(join(directory.path, 'foreman.db'))
  if (opened.kind !== 'opened') throw new Error(opened.message)
  const { db } = opened
  try {
    const queue = createQueue({ db, ledger: createLedger(db), maxQueue: long + 1 })
    await fill(queue, 0, SHORT)
    // Twice, so that the first figure is not that of cold code.
    await claimMs(queue)
    const shortMs = await claimMs(queue)
    await fill(queue, SHORT, long)
    const longMs = await claimMs(queue)
    const ratio = longMs / shortMs
    return [
      told(`claim with ${count(SHORT)} waiting, p50`, `${(shortMs * 1_000).toFixed(0)} us`),
      told(`claim with ${count(long)} waiting, p50`, `${(longMs * 1_000).toFixed(0)} us`),
      promised('claim: long backlog beside short', times(ratio), '<= 1.50x', ratio <= 1.5),
    ]
  } finally {
    db.close()
    directory.remove()
  }
}
