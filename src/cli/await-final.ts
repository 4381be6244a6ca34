/** Waits over HTTP until a job is final; it must never give up because foreman restarts: the job survives that. */
import type { Client, Reply } from './client.ts'
import { exitCode, type Io } from './command.ts'
import { isFinalState, type Job, pathOf, readJob, reportProblem } from './job.ts'
import { pause } from './progress.ts'

/** How waiting ended. `exit`: the reason is printed. `left`: the signal fired. */
export type Awaited =
  | { readonly kind: 'final'; readonly job: Job }
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'left' }

export interface WaitOptions {
  readonly io: Io
  readonly client: Client
  readonly id: string
  readonly signal: AbortSignal
  /** Hears of the job each time foreman tells of it, `away` while nobody answers, and null when the answer itself is printed. */
  readonly onLook: (news: Job | 'away' | null) => void
}

/** An upgrade or a restart takes seconds; after a minute somebody should be told. */
export const PATIENCE_MS = 60_000
export const RETRY_MS = 1_000

/** Whether asking again later can help: nobody there, or foreman is starting or stopping. */
export const isPassing = (reply: Reply): boolean =>
  reply.kind === 'failed' ? reply.code === exitCode.unreachable : [502, 503, 504].includes(reply.status)

/** Keeps the time for which nothing but passing failures came. */
export const createPatience = (io: Io) => {
  let sinceMs: number | null = null
  return {
    good: () => {
      sinceMs = null
    },
    /** Whether one more failure may be borne. */
    bad: (): boolean => {
      sinceMs ??= io.clock.monotonicMs()
      return io.clock.monotonicMs() - sinceMs < PATIENCE_MS
    },
  }
}

/** Resolves when the job is final, when foreman says no, when it stays away for a minute, or when the signal fires. */
export const awaitFinal = async ({ io, client, id, signal, onLook }: WaitOptions): Promise<Awaited> => {
  const patience = createPatience(io)
  // On a terminal the answer comes back every second, so that position and estimate stay true.
  const holdS = io.stderr.isTerminal ? 1 : 30
  const path = `${pathOf(id)}?wait=${holdS}s`
  while (!signal.aborted) {
    const askedAtMs = io.clock.monotonicMs()
    const reply = await client.request('GET', path, { timeoutMs: holdS * 1000 + 10_000, signal })
    if (signal.aborted) break
    const job = reply.kind === 'answered' && reply.status === 200 ? readJob(reply.json) : null
    if (job === null) {
      if (!isPassing(reply) || !patience.bad()) return { kind: 'exit', code: reportProblem(io, client, path, reply) }
      onLook('away')
      await pause(io, RETRY_MS, signal)
      continue
    }
    patience.good()
    onLook(job)
    if (isFinalState(job.state)) return { kind: 'final', job }
    // A foreman that drains answers at once; asking without a pause would be a storm.
    const tookMs = io.clock.monotonicMs() - askedAtMs
    if (tookMs < RETRY_MS / 2) await pause(io, RETRY_MS - tookMs, signal)
  }
  return { kind: 'left' }
}
