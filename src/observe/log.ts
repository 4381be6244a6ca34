/** One line per event, JSON for machines or text for a terminal; it must never throw and never print a token, prompt or secret. */
import type { Clock } from '../domain/clock.ts'
import { type LogLevel, logLevels } from '../domain/log-level.ts'

/** What an event carries besides its name; snake_case keys such as job_id, request_id, model, state, attempt, error. */
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  /** Whether lines of this level are written. */
  takes(level: LogLevel): boolean
  /** The same log with these fields on every line. */
  child(fields: LogFields): Log
}

export interface LogDeps {
  readonly level: LogLevel
  readonly write: (line: string) => void
  /** Characters that the reader has not taken yet. */
  readonly backlog?: () => number
  readonly clock: Pick<Clock, 'now'>
  /** True writes text for people instead of JSON lines. */
  readonly text: boolean
  /** Configured secrets: replaced wherever they turn up inside a value, for example in an error's message. */
  readonly secrets?: readonly string[]
}

/** A reader that hangs must cost lines, and not the daemon's memory. */
const backlogMax = 4 * 1024 * 1024
/** Long enough for a target's error text; a prompt that slipped into one is cut. */
const stringLengthMax = 500
const depthMax = 4
const itemsMax = 50

/** Keys whose values never reach a line: credentials, and everything a user may have said to a model or heard from it. */
const denied =
  /^(authorization|proxy_authorization|cookie|set_cookie|x_api_key|api_key|password|.*secret.*|.*signature|(.*_)?token|prompt|messages?_content|messages|content|thinking|system|suffix|template|context|images?|input|inputs|body|request_body|result|response|completion|inline|headers)$/

/** Creates the log. Lines below `level` cost one comparison. */
export const createLogger = ({ level, write, backlog = () => 0, clock, text, secrets = [] }: LogDeps): Log => {
  const clean = createCleaner(secrets.filter((secret) => secret !== ''))
  const lineOf = text ? textLine : jsonLine
  let dropped = 0
  const taken = new Set(logLevels.slice(logLevels.indexOf(level)))
  const takes = (lineLevel: LogLevel) => taken.has(lineLevel)
  const emit = (lineLevel: LogLevel, event: string, fields: LogFields) => {
    if (!takes(lineLevel)) return
    if (backlog() > backlogMax) {
      dropped += 1
      return
    }
    try {
      const time = new Date(clock.now()).toISOString()
      if (dropped > 0) write(lineOf(time, 'warn', 'log_lines_dropped', { lines: dropped }))
      dropped = 0
      write(lineOf(time, lineLevel, event, cleanFields(fields, clean)))
    } catch (error) {
      reportFailure(write, event, error)
    }
  }
  const bind = (bound: LogFields): Log => ({
    takes,
    debug: (event, fields) => emit('debug', event, { ...bound, ...fields }),
    info: (event, fields) => emit('info', event, { ...bound, ...fields }),
    warn: (event, fields) => emit('warn', event, { ...bound, ...fields }),
    error: (event, fields) => emit('error', event, { ...bound, ...fields }),
    child: (fields) => bind({ ...bound, ...fields }),
  })
  return bind({})
}

/** A field whose getter throws must cost one line, not the daemon; when even this write fails there is nobody to tell. */
const reportFailure = (write: (line: string) => void, event: string, error: unknown) => {
  try {
    write(`${JSON.stringify({ level: 'error', event: 'log_failed', failed_event: event, error: String(error) })}\n`)
  } catch {
    return
  }
}

const jsonLine = (time: string, level: LogLevel, event: string, fields: Record<string, unknown>) =>
  `${JSON.stringify({ ts: time, level, event, ...fields })}\n`

const textLine = (time: string, level: LogLevel, event: string, fields: Record<string, unknown>) => {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${isPlainWord(value) ? value : JSON.stringify(value)}`)
  return `${[time.slice(11, 23), level.padEnd(5), event, ...pairs].join(' ')}\n`
}

const isPlainWord = (value: unknown) => typeof value === 'string' && /^[^\s"=]+$/.test(value)

type Clean = (value: unknown, depth: number) => unknown

/** The names of the line itself cannot be overwritten by a field. */
const reserved = new Set(['ts', 'level', 'event'])

const cleanFields = (fields: LogFields, clean: Clean) => {
  const cleaned: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined && !reserved.has(key) && !isDenied(key)) cleaned[key] = clean(value, 0)
  }
  return cleaned
}

const isDenied = (key: string) =>
  denied.test(
    key
      .replace(/-/g, '_')
      .replace(/([a-z])([A-Z])/g, '$1_$2')
      .toLowerCase(),
  )

/** Turns anything into plain data that JSON can carry: bounded in depth, items and length, free of secrets. */
const createCleaner = (secrets: readonly string[]): Clean => {
  const cleanText = (text: string) => {
    let cleaned = text
    for (const secret of secrets) cleaned = cleaned.replaceAll(secret, '[secret]')
    // Credentials in a URL's user part or query are as secret as a header (Slack and Discord webhooks live by them).
    cleaned = cleaned.replace(/(https?:\/\/)[^\s/@"]*@/g, '$1').replace(/(https?:\/\/[^\s?#"]*)[?#][^\s"]*/g, '$1')
    return cleaned.length > stringLengthMax ? `${cleaned.slice(0, stringLengthMax)}…` : cleaned
  }
  const clean: Clean = (value, depth) => {
    if (typeof value === 'string') return cleanText(value)
    if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value
    if (value instanceof Error) return errorFields(value, cleanText, clean, depth)
    if (typeof value !== 'object') return cleanText(String(value))
    if (depth >= depthMax) return '[deep]'
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
    if (value instanceof Date) return cleanText(String(value.toJSON()))
    if (Array.isArray(value)) return value.slice(0, itemsMax).map((item) => clean(item, depth + 1))
    const entries = Object.entries(value).filter(([key]) => !isDenied(key))
    return Object.fromEntries(entries.slice(0, itemsMax).map(([key, item]) => [key, clean(item, depth + 1)]))
  }
  return clean
}

const errorFields = (error: Error, cleanText: (text: string) => string, clean: Clean, depth: number) => ({
  name: error.name,
  message: cleanText(error.message),
  ...('code' in error ? { code: clean(error.code, depthMax) } : {}),
  ...(error.stack
    ? {
        stack: cleanText(
          error.stack
            .split('\n')
            .slice(1, 6)
            .map((line) => line.trim())
            .join(' | '),
        ),
      }
    : {}),
  ...(error.cause !== undefined && depth < depthMax ? { cause: clean(error.cause, depth + 1) } : {}),
})
