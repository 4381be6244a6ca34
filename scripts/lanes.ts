/** Which test files run beside others and which want the machine alone; nothing is left out, and no file runs twice. */
import { availableParallelism } from 'node:os'
import { runTests, type TestRun } from './test-run.ts'

/** Begun first, each in a process of its own, because they take longest; in this order. */
export const longest = [
  'test/fault/silence.test.ts',
  'test/model/queue.model.test.ts',
  'test/crash/job-kill.test.ts',
  'test/crash/terminate.test.ts',
  'test/http/crowd.test.ts',
  'test/fault/impostors.test.ts',
  'test/fuzz/job-bodies.test.ts',
  'test/contract/bench.test.ts',
  'test/engine/drain-order.test.ts',
  'test/engine/jumping-clock.test.ts',
  'test/crash/migrate-kill.test.ts',
  'test/http/passthrough.test.ts',
]

/** Measure real time within narrow bounds, or count on a core of their own: one after the other when everything else is done. */
export const alone = [
  'test/cli/bench.test.ts',
  'test/crash/kill.test.ts',
  'test/crash/start.test.ts',
  'test/fault/away.test.ts',
  'test/fault/leaving-clients.test.ts',
  'test/fault/retry.test.ts',
  'test/http/job-events.test.ts',
  'test/http/streaming.test.ts',
  'test/jobs/parallel.test.ts',
  'test/ollama/client-abort.test.ts',
  'test/parts/manager/kills.test.ts',
  'test/simulator/deadlock.test.ts',
  'test/store/outbox-lanes.test.ts',
  'test/store/queue-order.test.ts',
  'test/store/queue-recover.test.ts',
  'test/store/reader.test.ts',
  'test/store/sweep.test.ts',
  'test/webhook/hanging-receivers.test.ts',
]

// Small enough that the last ones end together, large enough that starting processes does not count.
const FILES_TOGETHER = 12
// More would compute no faster, and every clock in the tests would be later.
const LANES = availableParallelism()

export interface LanesOptions {
  readonly files: readonly string[]
  /** Orders the files, and in each process the tests. */
  readonly seed: number
  readonly timeoutMs: number
  readonly print: (line: string) => void
}

/** All files, some processes at a time, and their outcomes together. */
export const runInLanes = async ({ files, seed, timeoutMs, print }: LanesOptions): Promise<TestRun> => {
  const runs: TestRun[] = []
  const run = async (together: readonly string[]) => {
    runs.push(await runTests({ files: together, seed, timeoutMs, print }))
  }
  const startedAt = performance.now()
  const batches = batchesOf(files, seed)
  const lane = async () => {
    for (let next = batches.shift(); next !== undefined; next = batches.shift()) await run(next)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  const last = files.filter((file) => alone.includes(file))
  if (last.length > 0) await run(last)
  const sum = (field: 'passed' | 'failed' | 'skipped') => runs.reduce((total, one) => total + one[field], 0)
  return {
    passed: sum('passed'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    seconds: (performance.now() - startedAt) / 1_000,
    said: runs.map(({ said }) => said).join('\n'),
  }
}

/** What the lanes take one after the other, in the order in which it begins. */
export const batchesOf = (files: readonly string[], seed: number): string[][] => {
  const rest = shuffled(
    files.filter((file) => ![...longest, ...alone].includes(file)),
    seed,
  )
  const batches = longest.filter((file) => files.includes(file)).map((file) => [file])
  while (rest.length > 0) batches.push(rest.splice(0, FILES_TOGETHER))
  return batches
}

const shuffled = (files: readonly string[], seed: number): string[] =>
  files
    .map((file) => ({ file, place: Bun.hash.wyhash(file, BigInt(seed)) }))
    .sort((a, b) => (a.place < b.place ? -1 : 1))
    .map(({ file }) => file)
