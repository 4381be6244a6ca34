/** The core's settings about how long and how large what is kept, told and taken in may be. */
import { logLevels } from '../domain/log-level.ts'
import { durationBetween, oneOf, optional, readBaseUrl, readBoolean, sizeBetween } from '../domain/readers.ts'
import type { SettingRows } from '../domain/setting.ts'
import { bodyDefaults, memoryBytes } from './memory.ts'
import { readSecrets, webhookPolicies } from './values.ts'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const KiB = 1024
const MiB = 1024 * KiB

export const limitSettings = {
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
