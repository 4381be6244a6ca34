/** The closed list of reasons why a job or a call fails, each with its status and its sentence; nothing else may fail. */

/** One table from cause to status. `busyText` marks those that speak with Ollama's own busy text on Ollama routes. */
export const failures = {
  abandoned: { status: 503, sentence: 'foreman stopped before the job was finished' },
  answer_too_large: { status: 502, sentence: "the target's answer is larger than foreman keeps" },
  attempts_exhausted: { status: 502, sentence: 'foreman was stopped during every attempt of the job' },
  broke_off: { status: 502, sentence: 'the target broke off before its answer was complete' },
  body_too_slow: { status: 408, sentence: 'the request body arrived too slowly' },
  body_too_large: { status: 413, sentence: 'the request body is larger than FOREMAN_MAX_BODY' },
  deadline: { status: 503, sentence: 'no answer within the deadline of the call' },
  disk_full: { status: 503, sentence: 'foreman cannot write to its data directory' },
  draining: { status: 503, sentence: 'foreman is stopping', busyText: true },
  fallback_unable: { status: 503, sentence: 'the fallback could not answer' },
  internal: { status: 500, sentence: 'internal error' },
  job_timeout: { status: 504, sentence: 'no result within FOREMAN_JOB_TIMEOUT' },
  load_failed: { status: 502, sentence: 'the target could not load the model' },
  malformed_answer: { status: 502, sentence: 'the target answered with something that cannot be read' },
  not_ollama: { status: 503, sentence: "what answers at the target's address is not Ollama" },
  out_of_memory: { status: 502, sentence: 'the target ran out of memory' },
  queue_full: { status: 503, sentence: 'the queue is full', busyText: true },
  read_only: { status: 403, sentence: 'foreman is read-only: FOREMAN_READ_ONLY is set' },
  refused: { status: 400, sentence: 'the target refused the request' },
  runner_failed: { status: 502, sentence: 'the model runner failed' },
  target_busy: { status: 503, sentence: 'the target was busy until the deadline' },
  target_lost: { status: 502, sentence: 'the target stopped answering while the job ran' },
  unauthorized: { status: 401, sentence: 'a bearer token is required' },
  unfinished: { status: 502, sentence: 'the target ended its answer without a final chunk' },
  unreachable: { status: 503, sentence: 'the target could not be reached' },
} as const satisfies Record<string, { status: number; sentence: string; busyText?: true }>

export type FailureCode = keyof typeof failures

/** Why something failed: a code from the list and, where the target said more, its own words. */
export interface Failure {
  readonly code: FailureCode
  readonly message: string
}

/** A failure in foreman's words, with detail from the target behind them when there is any. */
export const failure = (code: FailureCode, detail?: string): Failure => ({
  code,
  message: detail ? `${failures[code].sentence}: ${detail}` : failures[code].sentence,
})

/** Names a connection that failed after the target was reached. */
export const failureFromCode = (code: string, detail: string): Failure =>
  failure(code === 'malformed' ? 'malformed_answer' : 'broke_off', detail)

/** What Ollama says when its own queue is full; clients look for these words. */
export const OLLAMA_BUSY = 'server busy, please try again.  maximum pending requests exceeded'

/** The words an Ollama client is given. */
export const ollamaMessage = ({ code, message }: Failure): string =>
  'busyText' in failures[code] ? OLLAMA_BUSY : message
