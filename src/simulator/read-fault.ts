/** Faults as the control port receives them, and what it says about each kind; it must never command one. */
import type { Fault } from './fault.ts'
import { impostorNames } from './impostor.ts'

/** One example of every kind, with what it does. */
export const faultExamples = {
  refuse: ['{"kind":"refuse"}', 'the port is closed'],
  'hang-before-headers': ['{"kind":"hang-before-headers"}', 'no answer at all'],
  'hang-after-headers': ['{"kind":"hang-after-headers"}', 'headers and no body'],
  reset: ['{"kind":"reset","phase":"mid-body","chunks":2}', 'RST; phase also before-headers, after-headers'],
  truncate: ['{"kind":"truncate","chunks":2}', 'FIN in the middle of the body'],
  'malformed-chunk': ['{"kind":"malformed-chunk","chunks":2}', 'a chunk size that is no number'],
  'error-before': ['{"kind":"error-before","text":"boom","status":500}', "an error in the API's own shape"],
  'error-mid-stream': ['{"kind":"error-mid-stream","text":"boom","chunks":2}', 'the runner dies after two tokens'],
  oom: ['{"kind":"oom","phase":"run"}', 'out of memory; phase also load'],
  slow: ['{"kind":"slow","factor":8}', 'every delay of the request times eight'],
  sleep: ['{"kind":"sleep"}', 'half-open: accepts, answers nothing; POST /wake ends it'],
  restart: ['{"kind":"restart"}', 'every connection ends in the middle, nothing is loaded; once, at once'],
  status: ['{"kind":"status","status":503,"retryAfter":7}', 'a busy proxy: 429, 502 or 503'],
  impostor: [
    '{"kind":"impostor","as":"login-page"}',
    'another server answers; "as" may also be {"status","contentType","body"}',
  ],
} as const satisfies Readonly<Record<Fault['kind'], readonly [example: string, says: string]>>

const kinds = Object.keys(faultExamples)

type Rule = (fault: Readonly<Record<string, unknown>>) => string | undefined

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const oneOf =
  (name: string, values: readonly unknown[], words: string): Rule =>
  (fault) =>
    values.includes(fault[name]) ? undefined : `"${name}" must be ${words}`

const needs =
  (name: string): Rule =>
  (fault) =>
    fault[name] === undefined ? `"${name}" is missing` : undefined

const isImpostor: Rule = ({ as }) => {
  if (typeof as === 'string' && (impostorNames as readonly string[]).includes(as)) return undefined
  if (!isRecord(as)) return `"as" must be an impostor with a "status", or one of ${impostorNames.join(', ')}`
  if (!Number.isInteger(as.status) || Number(as.status) < 100 || Number(as.status) > 999)
    return '"status" of an impostor must be a number from 100 to 999'
  if (as.manner !== undefined && !['whole', 'endless', 'drip', 'banner'].includes(String(as.manner)))
    return '"manner" must be whole, endless, drip or banner'
  const texts = ['contentType', 'encoding', 'location', 'body']
  const odd = texts.find((name) => as[name] !== undefined && typeof as[name] !== 'string')
  return odd === undefined ? undefined : `"${odd}" must be a string`
}

/** What a kind demands beyond the types of its members. */
const rules: Partial<Record<Fault['kind'], Rule>> = {
  reset: oneOf('phase', ['before-headers', 'after-headers', 'mid-body'], 'before-headers, after-headers or mid-body'),
  'error-before': needs('text'),
  'error-mid-stream': needs('text'),
  slow: needs('factor'),
  status: oneOf('status', [429, 502, 503], '429, 502 or 503'),
  impostor: isImpostor,
}

/** Reads a fault as the control port receives it; the string is one sentence about what is wrong. */
export const readFault = (value: unknown): Fault | string => {
  if (!isRecord(value)) return 'a fault is a JSON object with a "kind"'
  const kind = kinds.find((known) => known === value.kind) as Fault['kind'] | undefined
  if (kind === undefined) return `"kind" must be one of ${kinds.join(', ')}`
  for (const name of ['times', 'chunks', 'factor', 'status'] as const)
    if (value[name] !== undefined && (typeof value[name] !== 'number' || !(value[name] >= 0)))
      return `"${name}" must be a number`
  for (const name of ['path', 'text'] as const)
    if (value[name] !== undefined && typeof value[name] !== 'string') return `"${name}" must be a string`
  return rules[kind]?.(value) ?? (value as unknown as Fault)
}
