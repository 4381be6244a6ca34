/** The core's settings about when the target is asked, what is put on calls, and how long anything may take. */
import { durationBetween, integerBetween, oneOf } from '../domain/readers.ts'
import type { SettingRows } from '../domain/setting.ts'
import { parseKeepAlivePolicy } from '../domain/wire/keep-alive.ts'
import { embedModes } from './values.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

export const workSettings = {
  pollIntervalMs: {
    variable: 'FOREMAN_POLL_INTERVAL',
    fallback: '30s',
    meaning: 'how often the installed and loaded models are asked for',
    allowed: 'a duration such as 30s or 1.5h (a bare number is seconds) from 100ms to 1h',
    parse: durationBetween(100, hour),
  },
  keepAlive: {
    variable: 'FOREMAN_KEEP_ALIVE',
    fallback: '-1',
    meaning: 'keep-alive put on queued calls that carry none; model=value,…,*=value sets it per model',
    allowed: '-1 (for ever), 0, seconds, a duration such as 10m, or pairs such as llama3.2=10m,*=-1',
    parse: parseKeepAlivePolicy,
  },
  embed: {
    variable: 'FOREMAN_EMBED',
    fallback: 'auto',
    meaning:
      'whether embeddings go past the queue; auto: while the target has shown room for both models (one that others hang behind waits its turn for a minute)',
    allowed: 'auto, bypass or queue',
    parse: oneOf(embedModes),
  },
  parallel: {
    variable: 'FOREMAN_PARALLEL',
    fallback: '1',
    meaning: 'jobs of one residency key that run side by side',
    allowed: 'a whole number from 1 to 64',
    parse: integerBetween(1, 64),
  },
  maxAttempts: {
    variable: 'FOREMAN_MAX_ATTEMPTS',
    fallback: '3',
    meaning: 'attempts per job; waiting for an unreachable target costs none',
    allowed: 'a whole number from 1 to 100',
    parse: integerBetween(1, 100),
  },
  maxWaitMs: {
    variable: 'FOREMAN_MAX_WAIT',
    fallback: '2m',
    meaning: 'a job this old goes before jobs for a loaded model; 0 is no bound',
    allowed: 'a duration such as 2m (a bare number is seconds) from 1s to 24h, or 0',
    parse: durationBetween(second, day, 'zero'),
  },
  maxQueue: {
    variable: 'FOREMAN_MAX_QUEUE',
    fallback: '10000',
    meaning: 'waiting jobs; above it callers get 503 and Retry-After',
    allowed: 'a whole number from 1 to 10000000',
    parse: integerBetween(1, 10_000_000),
  },
  unreachableDeadlineMs: {
    variable: 'FOREMAN_UNREACHABLE_DEADLINE',
    fallback: '60s',
    meaning: 'how long a waiting client is held when the target cannot be reached; 0 is not at all',
    allowed: 'a duration such as 60s (a bare number is seconds) from 0 to 24h',
    parse: durationBetween(0, day),
  },
  syncDeadlineMs: {
    variable: 'FOREMAN_SYNC_DEADLINE',
    fallback: '0',
    fallbackShown: '0 (none)',
    meaning: 'total bound of a call whose client waits: a result or a 503 by then; Prefer: wait=N of a call wins',
    allowed: 'a duration such as 10m (a bare number is seconds) from 100ms to 24h, or 0',
    parse: durationBetween(100, day, 'zero'),
  },
  heartbeatMs: {
    variable: 'FOREMAN_HEARTBEAT',
    fallback: '0',
    fallbackShown: '0 (none)',
    meaning:
      'after so long without an answer a queued chat or completion gets status 200 and a sign of life each time; X-Foreman-Heartbeat of a call wins',
    allowed: 'a duration such as 60s (a bare number is seconds) from 1s to 1h, or 0',
    parse: durationBetween(1_000, 3_600_000, 'zero'),
  },
  jobTimeoutMs: {
    variable: 'FOREMAN_JOB_TIMEOUT',
    fallback: '30m',
    meaning: "bound on one attempt's work once it runs",
    allowed: 'a duration such as 30m (a bare number is seconds) from 100ms to 168h',
    parse: durationBetween(100, 7 * day),
  },
} satisfies SettingRows
