/** Every row of the outcome table: what an attempt came to, and what becomes of the job. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { type FailureCode, failure } from '../../../src/domain/job/failure.ts'
import { noUsage } from '../../../src/domain/job/job.ts'
import {
  type Answer,
  type Circumstances,
  decide,
  failureFromText,
  type Outcome,
  outcomeOfRefusal,
  type Verdict,
} from '../../../src/domain/job/outcome.ts'
import { seedOf } from '../../support/figures.ts'

const NOW = 1_000_000
const answer = (status: number): Answer => ({ status, headers: [], body: new Uint8Array([1]) })

type Over = Partial<Omit<Circumstances, 'job'>> & { job?: Partial<Circumstances['job']> }

const circumstances = ({ job, ...over }: Over = {}): Circumstances => ({
  job: { kind: 'async', attempt: 1, maxAttempts: 3, deferrals: 0, ...job },
  committed: false,
  now: NOW,
  chance: 0.5,
  patienceUntil: null,
  ...over,
})

const sync = { kind: 'sync' } as const
const lastTry = { attempt: 3 }
const broke: Outcome = { kind: 'broken', failure: failure('broke_off'), answer: null, told: false }
const failedWith = (code: FailureCode, more: { answer?: Answer; told?: boolean } = {}): Verdict => ({
  to: 'failed',
  failure: failure(code),
  answer: null,
  told: false,
  ...more,
})
const again = (delayMs: number): Verdict => ({
  to: 'queued',
  attemptReturned: false,
  deferred: false,
  notBefore: NOW + delayMs,
})
const deferred = (notBefore: number | null): Verdict => ({
  to: 'queued',
  attemptReturned: true,
  deferred: true,
  notBefore,
})

describe('a target that was never reached', () => {
  test.each([sync, {}, { ...lastTry }, { deferrals: 1_000_000 }])('costs a deferral and no attempt: %p', (job) => {
    expect(decide({ kind: 'unreached', message: 'refused' }, circumstances({ job }))).toEqual(deferred(null))
  })
})

describe('a busy target', () => {
  const busy = (retryAfterMs: number | null): Outcome => ({ kind: 'busy', answer: answer(503), retryAfterMs })

  test('is asked again after its Retry-After, but between a second and a minute', () => {
    expect(decide(busy(7_000), circumstances())).toEqual(deferred(NOW + 7_000))
    expect(decide(busy(0), circumstances())).toEqual(deferred(NOW + 1_000))
    expect(decide(busy(86_400_000), circumstances())).toEqual(deferred(NOW + 60_000))
  })

  test('is asked again after a backoff that grows with the deferrals and never ends the job', () => {
    expect(decide(busy(null), circumstances())).toEqual(deferred(NOW + 1_000))
    expect(decide(busy(null), circumstances({ job: { deferrals: 3, ...lastTry } }))).toEqual(deferred(NOW + 8_000))
    expect(decide(busy(null), circumstances({ job: { deferrals: 1_000 } }))).toEqual(deferred(NOW + 60_000))
  })

  test('is told to a sync caller in its own words once the wait would pass the deadline', () => {
    const patient = circumstances({ job: sync, patienceUntil: NOW + 7_000 })
    expect(decide(busy(7_000), patient)).toEqual(deferred(NOW + 7_000))
    expect(decide(busy(7_001), patient)).toEqual(failedWith('target_busy', { answer: answer(503) }))
  })
})

describe('an attempt that broke', () => {
  test.each([sync, {}])('is repeated after a backoff while attempts last: %p', (job) => {
    expect(decide(broke, circumstances({ job }))).toEqual(again(1_000))
    expect(decide(broke, circumstances({ job: { ...job, attempt: 2 } }))).toEqual(again(2_000))
    expect(decide(broke, circumstances({ job: { ...job, attempt: 3 } }))).toEqual(failedWith('broke_off'))
  })

  test('is final after the first byte, whatever attempts are left', () => {
    expect(decide(broke, circumstances({ job: sync, committed: true }))).toEqual(failedWith('broke_off'))
    const told: Outcome = { kind: 'broken', failure: failure('runner_failed', 'x'), answer: null, told: true }
    expect(decide(told, circumstances({ job: sync, committed: true }))).toMatchObject({ to: 'failed', told: true })
  })

  test('ends with the last error and the last answer of the target', () => {
    const last: Outcome = {
      kind: 'broken',
      failure: failure('out_of_memory', 'cuda'),
      answer: answer(500),
      told: false,
    }
    expect(decide(last, circumstances({ job: lastTry }))).toEqual({
      to: 'failed',
      failure: failure('out_of_memory', 'cuda'),
      answer: answer(500),
      told: false,
    })
  })

  test('is not repeated where the answer is too large: it would be so again', () => {
    const large: Outcome = { kind: 'broken', failure: failure('answer_too_large'), answer: null, told: false }
    expect(decide(large, circumstances())).toEqual(failedWith('answer_too_large'))
  })
})

const away = (more: object = {}): Outcome => ({ kind: 'away', message: 'a login', retryAfterMs: null, ...more })

describe.each([
  [
    'was lost on the way',
    { kind: 'lost', message: 'x' } as Outcome,
    failure('unreachable', 'x'),
    failure('target_lost'),
  ],
  ['is not what answers', away(), failure('not_ollama', 'a login'), failure('not_ollama', 'a login')],
])('a target that %s', (_, outcome, reason, afterwards) => {
  test('costs a deferral and no attempt, and the job is tried as soon as it is back', () => {
    for (const job of [{}, sync, lastTry, { deferrals: 2 }])
      expect(decide(outcome, circumstances({ job }))).toEqual(deferred(null))
  })

  test('and that fails the same job again and again has it wait longer and longer, so that others come in between', () => {
    const waits = [3, 4, 5, 1_000].map((deferrals) => decide(outcome, circumstances({ job: { deferrals } })))
    expect(waits).toEqual([deferred(NOW + 1_000), deferred(NOW + 2_000), deferred(NOW + 4_000), deferred(NOW + 60_000)])
  })

  test('is borne by a sync caller within its patience, and not at all after the first byte', () => {
    const failed: Verdict = { to: 'failed', failure: reason, answer: null, told: false }
    expect(decide(outcome, circumstances({ job: sync, patienceUntil: NOW + 1 }))).toEqual(deferred(null))
    expect(decide(outcome, circumstances({ job: sync, patienceUntil: NOW }))).toEqual(failed)
    const cut: Verdict = { ...failed, failure: afterwards }
    expect(decide(outcome, circumstances({ job: sync, committed: true }))).toEqual(cut)
  })
})

test('an answer from in between, while an Ollama is there, is asked again after its Retry-After or a backoff', () => {
  expect(decide(away({ isThere: true }), circumstances())).toEqual(deferred(NOW + 1_000))
  expect(decide(away({ isThere: true, retryAfterMs: 7_000 }), circumstances())).toEqual(deferred(NOW + 7_000))
  expect(decide(away({ retryAfterMs: 86_400_000 }), circumstances())).toEqual(deferred(NOW + 60_000))
})

describe('a request that is at fault', () => {
  test('fails at the first attempt with the answer of the target', () => {
    const refused: Outcome = { kind: 'refused', answer: answer(400), message: 'no' }
    expect(decide(refused, circumstances())).toEqual({
      to: 'failed',
      failure: failure('refused', 'no'),
      answer: answer(400),
      told: false,
    })
  })
})

describe('time', () => {
  test('is up for an attempt: an async job has others, a sync caller has none', () => {
    expect(decide({ kind: 'timeout' }, circumstances())).toEqual(again(1_000))
    expect(decide({ kind: 'timeout' }, circumstances({ job: lastTry }))).toEqual(failedWith('job_timeout'))
    expect(decide({ kind: 'timeout' }, circumstances({ job: sync }))).toEqual(failedWith('job_timeout'))
  })

  test('is up for the whole call', () => {
    expect(decide({ kind: 'expired' }, circumstances({ job: sync }))).toEqual(failedWith('deadline'))
  })
})

test('a caller that left cancels its job', () => {
  expect(decide({ kind: 'left' }, circumstances({ job: sync }))).toEqual({ to: 'cancelled' })
})

test('a stop gives an async job its attempt back and abandons a sync one', () => {
  const back = { to: 'queued', attemptReturned: true, deferred: false, notBefore: null }
  expect(decide({ kind: 'stopped' }, circumstances({ job: lastTry }))).toMatchObject(back)
  expect(decide({ kind: 'stopped' }, circumstances({ job: sync }))).toEqual(failedWith('abandoned'))
})

test('success is success, on the last attempt and after the first byte too', () => {
  const done: Outcome = { kind: 'done', usage: noUsage }
  for (const over of [{}, { committed: true }, { job: lastTry }])
    expect(decide(done, circumstances(over))).toEqual({ to: 'done', usage: noUsage })
})

test('no outcome ever gives a job more than its attempts, or an attempt back that the target got', () => {
  const seed = seedOf('decide')
  const outcome = fc.constantFrom<Outcome>(
    broke,
    { kind: 'lost' },
    away(),
    away({ isThere: true }),
    { kind: 'timeout' },
    { kind: 'unreached', message: '' },
    { kind: 'busy', answer: answer(429), retryAfterMs: null },
    { kind: 'stopped' },
  )
  const bounded = fc.property(
    outcome,
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 5 }),
    fc.boolean(),
    fc.float({ min: 0, max: Math.fround(0.999), noNaN: true }),
    (came, attempt, maxAttempts, committed, chance) => {
      fc.pre(attempt <= maxAttempts)
      const verdict = decide(came, circumstances({ job: { attempt, maxAttempts }, committed, chance }))
      if (verdict.to !== 'queued') return
      expect(verdict.attemptReturned || attempt < maxAttempts).toBe(true)
      expect(verdict.attemptReturned).toBe(came.kind !== 'broken' && came.kind !== 'timeout')
      if (verdict.notBefore !== null) expect(verdict.notBefore - NOW).toBeLessThanOrEqual(72_000)
    },
  )
  fc.assert(bounded, { seed, numRuns: 5_000 })
})

test('a 500 that is the fault of the request is final, any other may be tried again', () => {
  const message = 'option "num_ctx" must be of type integer'
  expect(outcomeOfRefusal(answer(500), message, null)).toEqual({ kind: 'refused', answer: answer(500), message })
  expect(outcomeOfRefusal(answer(500), 'llm server error', null).kind).toBe('broken')
})

describe('a complete answer that is no success', () => {
  test.each([407, 408, 425, 429, 502, 503, 504, 511, 520, 521, 522, 523, 524, 525, 530])('%d means busy', (status) => {
    expect(outcomeOfRefusal(answer(status), 'x', 5)).toEqual({ kind: 'busy', answer: answer(status), retryAfterMs: 5 })
  })
  test.each([301, 400, 401, 403, 404, 405, 413, 422, 499])('%d is final', (status) => {
    expect(outcomeOfRefusal(answer(status), 'x', null).kind).toBe('refused')
  })
  test.each([500, 501, 505, 519, 531, 599])('%d may be tried again', (status) => {
    expect(outcomeOfRefusal(answer(status), 'x', null).kind).toBe('broken')
  })
})

describe('the words of the target name the failure', () => {
  test.each([
    ['cudaMalloc failed: out of memory', 'out_of_memory'],
    ['ggml: VK_ERROR_OUT_OF_DEVICE_MEMORY', 'out_of_memory'],
    ['llama-server reported out-of-memory during startup: failed to allocate', 'out_of_memory'],
    ['model requires more system memory (9 GiB) than is available (4 GiB)', 'out_of_memory'],
    ['llama-server process has terminated: exit status 1: error loading model', 'load_failed'],
    ['llama runner process has terminated: signal killed', 'load_failed'],
    ['timed out waiting for llama-server to start - progress 0.1', 'load_failed'],
    ['llama-server binary not found (checked: /usr/lib)', 'load_failed'],
    ['x: this model may be incompatible with your version of Ollama.', 'load_failed'],
    ['model runner has unexpectedly stopped', 'runner_failed'],
    ['', 'runner_failed'],
  ] as const)('%j is %s', (message, code) => {
    expect(failureFromText(message).code).toBe(code)
  })
})
