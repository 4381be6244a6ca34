/** What crash and signal tests need around a daemon's life: clients that may be cut, jobs put into its database, and a look at what is left. */

import type { Database } from 'bun:sqlite'
import { join } from 'node:path'
import type { NewJob } from '../../src/domain/job/job.ts'
import { createLedger } from '../../src/store/ledger.ts'
import { createQueue } from '../../src/store/queue.ts'
import type { Spawned } from './binary.ts'
import { opened } from './store.ts'

/** How a call ended for its client. */
export type CallEnd =
  | { readonly kind: 'answered'; readonly status: number; readonly jobId: string | null; readonly text: string }
  | { readonly kind: 'cut' }

/** One chat on a connection of its own. It never rejects: a daemon that is killed cuts its clients off. */
export const chat = async (url: string, body: object, left?: AbortSignal): Promise<CallEnd> => {
  try {
    const reply = await fetch(`${url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify(body),
      keepalive: false,
      ...(left && { signal: left }),
    })
    const text = await reply.text()
    return { kind: 'answered', status: reply.status, jobId: reply.headers.get('x-foreman-job-id'), text }
  } catch (error) {
    if (error instanceof Error) return { kind: 'cut' }
    throw error
  }
}

export const prompt = (model: string, content: string) => ({ model, messages: [{ role: 'user', content }] })

/** A job as POST /jobs will store it; the id is counted by the simulator whenever a model works on it. */
export const asyncJob = (id: string, model: string, script = ''): NewJob => ({
  id,
  kind: 'async',
  endpoint: '/api/chat',
  model,
  residencyKey: `registry.ollama.ai/library/${model}:latest`,
  // A job that is killed often must still be done in the end.
  maxAttempts: 1_000,
  request: new TextEncoder().encode(JSON.stringify(prompt(model, `[[id=${id}]]${script}`))),
  webhookUrl: null,
})

/** Runs `work` on the database of a directory where no foreman runs. */
export const withDatabase = async <T>(dataDir: string, work: (db: Database) => T | Promise<T>): Promise<T> => {
  const db = opened(join(dataDir, 'foreman.db'))
  try {
    return await work(db)
  } finally {
    db.close()
  }
}

/** Puts jobs into the queue as an acknowledged submit does. */
export const submitAll = (db: Database, jobs: readonly NewJob[]) => {
  const queue = createQueue({ db, ledger: createLedger(db), maxQueue: 1_000_000 })
  return Promise.all(jobs.map((job) => queue.submit(job, Date.now())))
}

export interface Remains {
  readonly integrity: string
  /** Rows by kind and state, `sync/done` and so on. */
  readonly counts: Readonly<Record<string, number>>
  /** Rows in loading or working. */
  readonly active: number
  readonly ids: ReadonlyMap<string, string>
}

/** What a stopped or killed foreman left. */
export const inspect = (db: Database): Remains => {
  const integrity = db.query<{ integrity_check: string }, []>('PRAGMA integrity_check').get()?.integrity_check ?? 'none'
  const counts: Record<string, number> = {}
  const ids = new Map<string, string>()
  let active = 0
  for (const { id, kind, state } of db
    .query<{ id: string; kind: string; state: string }, []>('SELECT id, kind, state FROM jobs')
    .all()) {
    const key = `${kind}/${state}`
    counts[key] = (counts[key] ?? 0) + 1
    ids.set(id, key)
    if (state === 'loading' || state === 'working') active++
  }
  return { integrity, counts, active, ids }
}

/** An id of 26 characters that sorts by its number. */
export const jobId = (lane: string, number: number): string =>
  `01CRASH${lane.toUpperCase()}${String(number).padStart(18, '0')}`

/** Runs every lane to its own end, even when another has failed, so that none leaves a daemon; then fails like the first. */
export const eachLane = async <T>(lanes: readonly T[], run: (lane: T) => Promise<void>): Promise<void> => {
  for (const result of await Promise.allSettled(lanes.map(run))) if (result.status === 'rejected') throw result.reason
}

/** Runs `work` and ends the process whatever comes of it. */
export const endingWith = async <T>(spawned: Spawned, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } finally {
    spawned.kill('SIGKILL')
    await spawned.exited
  }
}

const queueOf = (health: unknown): unknown =>
  typeof health === 'object' && health !== null && 'queue' in health ? health.queue : null

/** Resolves when nothing waits and nothing runs; asks without a pause, as nothing tells from outside. */
export const isEmpty = async (url: string): Promise<void> => {
  for (;;) {
    const queue = queueOf(await (await fetch(`${url}/healthz`)).json())
    if (Bun.deepEquals(queue, { queued: 0, working: 0, oldest_age_seconds: null })) return
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** `median 63, max 120 ms of 200`. */
export const spread = (valuesMs: readonly number[]): string =>
  `median ${median(valuesMs).toFixed(0)}, max ${Math.max(...valuesMs).toFixed(0)} ms of ${valuesMs.length}`
