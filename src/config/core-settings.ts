/** The core's rows of the table of settings, each with the only default it has anywhere. */
import { resolve } from 'node:path'
import { logLevels } from '../domain/log-level.ts'
import {
  bad,
  durationBetween,
  integerBetween,
  ok,
  oneOf,
  optional,
  readBaseUrl,
  readBoolean,
  readServerUrl,
  readToken,
  sizeBetween,
} from '../domain/readers.ts'
import type { Environment, SettingRows } from '../domain/setting.ts'
import { parseKeepAlivePolicy } from '../domain/wire/keep-alive.ts'
import { bodyDefaults, memoryBytes } from './memory.ts'
import { embedModes, readAddress, readHosts, readOrigins, readSecrets, webhookPolicies } from './values.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const KiB = 1024
const MiB = 1024 * KiB

/** systemd's directory (a colon list when a unit has several), else the XDG data directory, else its default in HOME. */
const defaultDataDir = (env: Environment): string => {
  const state = env['STATE_DIRECTORY']?.split(':')[0]
  if (state) return state
  const data = env['XDG_DATA_HOME']
  // The XDG specification says that a relative path here is to be ignored.
  if (data?.startsWith('/')) return `${data.replace(/\/+$/, '')}/foreman`
  return env['HOME'] ? `${env['HOME'].replace(/\/+$/, '')}/.local/share/foreman` : ''
}

export const coreSettings = {
  addr: {
    variable: 'FOREMAN_ADDR',
    fallback: '127.0.0.1:8080',
    flag: ['addr', 'HOST:PORT'],
    mistaken: ['FOREMAN_PORT', 'FOREMAN_HOST', 'FOREMAN_BIND', 'FOREMAN_LISTEN'],
    meaning: 'listen address; :8080 is every address of the machine',
    allowed: 'host:port such as 127.0.0.1:8080, :8080 or [::1]:8080, with a port from 0 (any free one) to 65535',
    parse: readAddress,
  },
  ollamaUrl: {
    variable: 'FOREMAN_OLLAMA_URL',
    fallback: 'http://127.0.0.1:11434',
    flag: ['target', 'URL'],
    mistaken: ['FOREMAN_TARGET', 'FOREMAN_OLLAMA', 'FOREMAN_OLLAMA_HOST', 'FOREMAN_OLLAMA_ADDR', 'FOREMAN_OLLAMA_PORT'],
    meaning: 'the target: the one Ollama server behind this foreman (OLLAMA_HOST is not read)',
    allowed: 'a URL such as http://gpu-box:11434 or gpu-box, without credentials or a query',
    parse: readServerUrl(11_434),
  },
  ollamaToken: {
    variable: 'FOREMAN_OLLAMA_TOKEN',
    fallback: '',
    meaning: 'bearer token sent to the target',
    allowed: 'up to 4096 printable ASCII characters without blanks',
    secret: true,
    parse: readToken,
  },
  token: {
    variable: 'FOREMAN_TOKEN',
    fallback: '',
    mistaken: ['FOREMAN_API_KEY'],
    meaning: 'bearer token that clients must send',
    allowed: 'up to 4096 printable ASCII characters without blanks',
    secret: true,
    parse: readToken,
  },
  origins: {
    variable: 'FOREMAN_ORIGINS',
    fallback: '',
    meaning: 'more origins of web pages that may use foreman, separated by commas',
    allowed: 'origins such as https://chat.example.org, chrome-extension://* or *, without a path',
    parse: readOrigins,
  },
  hosts: {
    variable: 'FOREMAN_HOSTS',
    fallback: '',
    meaning: 'more names by which foreman may be called; beyond loopback, setting it refuses all others',
    allowed: 'host names such as foreman.example.org or *.example.org, separated by commas, without ports',
    parse: readHosts,
  },
  dataDir: {
    variable: 'FOREMAN_DATA_DIR',
    fallback: '',
    fallbackFrom: defaultDataDir,
    flag: ['data-dir', 'PATH'],
    fallbackShown: '$STATE_DIRECTORY, else $XDG_DATA_HOME/foreman, else ~/.local/share/foreman',
    meaning: 'where the database and its lock live',
    allowed: 'a path such as /var/lib/foreman (~ is not expanded here)',
    parse: (text) => (text === '' || text.startsWith('~') || text.includes('\0') ? bad() : ok(resolve(text))),
  },
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
    meaning: 'whether embeddings go past the queue; auto: while the target holds the embedder beside the worker model',
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
  jobTimeoutMs: {
    variable: 'FOREMAN_JOB_TIMEOUT',
    fallback: '30m',
    meaning: "bound on one attempt's work once it runs",
    allowed: 'a duration such as 30m (a bare number is seconds) from 100ms to 168h',
    parse: durationBetween(100, 7 * day),
  },
  jobTtlMs: {
    variable: 'FOREMAN_JOB_TTL',
    fallback: '24h',
    meaning: 'finished jobs, their artifacts and deliveries are swept after it',
    allowed: 'a duration such as 24h (a bare number is seconds) from 1s to 8760h',
    parse: durationBetween(second, 365 * day),
  },
  artifactInlineMaxBytes: {
    variable: 'FOREMAN_ARTIFACT_INLINE_MAX',
    fallback: '256KiB',
    meaning: 'results up to this size stand inside a job; larger ones are fetched',
    allowed: 'a size such as 256KiB or 1MiB from 0 to 64MiB',
    parse: sizeBetween(0, 64 * MiB),
  },
  webhookSecrets: {
    variable: 'FOREMAN_WEBHOOK_SECRET',
    fallback: '',
    meaning: 'signing secret of webhooks; two separated by a comma during rotation',
    allowed: 'one or two different secrets of 16 to 512 printable characters (whsec_ and base64, or plain text)',
    secret: true,
    parse: readSecrets,
  },
  webhookPolicy: {
    variable: 'FOREMAN_WEBHOOK_POLICY',
    fallback: 'lan',
    meaning: 'where webhooks may go: public, lan (also private, ULA and 100.64/10) or any',
    allowed: 'public, lan or any',
    parse: oneOf(webhookPolicies),
  },
  publicUrl: {
    variable: 'FOREMAN_PUBLIC_URL',
    fallback: '',
    meaning: 'base of absolute links in webhooks and Location',
    allowed: 'a URL such as https://foreman.example.org, without credentials or a query',
    parse: optional(readBaseUrl),
  },
  maxBodyBytes: {
    variable: 'FOREMAN_MAX_BODY',
    fallback: '128MiB',
    fallbackFrom: () => bodyDefaults(memoryBytes()).each,
    fallbackShown: '128MiB; a 16th of the memory where that is less',
    meaning: 'largest request body; blob uploads are excepted because they stream',
    allowed: 'a size such as 128MiB from 1KiB to 1GiB',
    parse: sizeBetween(KiB, 1024 * MiB),
  },
  maxBodiesBytes: {
    variable: 'FOREMAN_MAX_BODIES',
    fallback: '1GiB',
    fallbackFrom: () => bodyDefaults(memoryBytes()).together,
    fallbackShown: '1GiB; an 8th of the memory where that is less',
    meaning: 'request bodies in memory together; above it callers get 503 and Retry-After',
    allowed: 'a size such as 1GiB from 1KiB to 64GiB',
    parse: sizeBetween(KiB, 64 * 1024 * MiB),
  },
  readOnly: {
    variable: 'FOREMAN_READ_ONLY',
    fallback: 'false',
    meaning: 'refuse pull, push, create, copy, delete and blobs with 403',
    allowed: 'true or false',
    parse: readBoolean,
  },
  logLevel: {
    variable: 'FOREMAN_LOG_LEVEL',
    fallback: 'info',
    mistaken: ['FOREMAN_LOG', 'FOREMAN_DEBUG'],
    meaning: 'debug, info, warn or error; JSON lines on stdout, text when stdout is a terminal',
    allowed: 'debug, info, warn or error',
    parse: oneOf(logLevels),
  },
} satisfies SettingRows
