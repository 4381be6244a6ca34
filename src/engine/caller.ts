/** Who gets a job's answer: the client of an open request, or whoever collects for an async job; the worker sees no difference. */

import type { Failure } from '../domain/job/failure.ts'
import type { Answer } from '../domain/job/outcome.ts'
import type { StopSignal } from '../domain/stop-signal.ts'
import type { Call } from '../domain/wire/call.ts'
import type { HeaderPairs } from '../domain/wire/headers.ts'
import type { Patience } from './patience.ts'

/** A named result that is stored with the job's last transition. */
export interface CallerArtifact {
  readonly name: string
  readonly contentType: string
  readonly body: Uint8Array
}

export interface Caller {
  readonly call: Call
  /** Path and query for the target. */
  readonly path: string
  /** End-to-end request headers. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array
  /** The body as its client sent it, where that is another one and somebody else than the target may be asked. */
  readonly bodyAsSent?: Uint8Array | undefined
  /** The name of the token that the client came with. */
  readonly client?: string | null
  /** Absent: what its headers and its token say. */
  readonly fallback?: 'auto' | 'never'
  /** What it keeps of a streamed answer at most; absent where it passes everything on. */
  readonly answerBytesMax?: number
  /** Monotonic milliseconds of its arrival. */
  readonly arrivedAtMs: number
  /** Fires when nobody waits any more. */
  readonly left: StopSignal
  /** True once a byte has gone out: from then on nothing can be tried again. */
  readonly committed: boolean
  /** How long it bears a busy or unreachable target; null = for ever. */
  readonly patience: Patience | null
  /** `queueMs` is how long the job waited before its work began. */
  working(queueMs: number): void
  /** Whoever answers says so in these headers. */
  mark?(headers: HeaderPairs): void
  /** The head of a streamed answer; its first bytes follow at once. */
  begin(status: number, headers: Answer['headers']): void
  /** A promise means: the caller is slow, wait for it. */
  write(bytes: Uint8Array): void | Promise<void>
  end(): void
  /** A whole answer in one piece. */
  answer(answer: Answer): void
  /** The end without success. `answer` is the target's own; `told` means that the stream itself already said so. */
  fail(failure: Failure, answer: Answer | null, told: boolean): void
  /** Runs `cleanup` once the caller has its answer, its failure, or is gone. */
  onFinished(cleanup: () => void): void
  /** What is kept of a finished answer; null when that cannot be read. */
  artifacts(): readonly CallerArtifact[] | null
}

/** The callers of all sync jobs that are not finished, in the order they came. */
export interface Callers {
  add(jobId: string, caller: Caller): void
  get(jobId: string): Caller | undefined
  remove(jobId: string): void
  entries(): IterableIterator<[string, Caller]>
  readonly size: number
}

/** An empty register of callers. */
export const createCallers = (): Callers => {
  const callers = new Map<string, Caller>()
  return {
    add: (jobId, caller) => void callers.set(jobId, caller),
    get: (jobId) => callers.get(jobId),
    remove: (jobId) => void callers.delete(jobId),
    entries: () => callers.entries(),
    get size() {
      return callers.size
    },
  }
}
