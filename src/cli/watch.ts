/** `foreman watch`: says whether a heartbeat file is fresh, once or again and again with alerts; it must never take a file it cannot see for a fresh one. */
import { readSettings } from '../config/config.ts'
import { AlertDesk } from '../domain/alert/desk.ts'
import { alertSettings } from '../domain/alert/settings.ts'
import { formatDuration, humanSpan, type Parsed, parseDurationMs } from '../domain/duration.ts'
import { type AlertTarget, postAlerts } from './alert-post.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { readFlags, wrong } from './flags.ts'

const help = `foreman watch checks heartbeat files: foreman's own (FOREMAN_HEARTBEAT_FILE) or anybody's, as long as somebody touches them.

Usage:  foreman watch FILE… --max-age 1h [--every 1m] [--json]

  --max-age TIME   a file that was not touched for so long is stale
  --every TIME     look again and again until it is stopped, and alert
  --json           print one line of JSON for each file

With --every alerts are posted to FOREMAN_ALERT_URL in FOREMAN_ALERT_FORMAT: one when a file goes stale, one when it is fresh again, at most 20 an hour.
Without it the exit code says it all.

Exit codes: 0 all are fresh (or --every was stopped), 1 one is stale or missing, 2 usage.

Examples:
  foreman watch /run/foreman/heartbeat --max-age 2m || echo "foreman is gone"
  foreman watch /mnt/nas/backup.done --max-age 25h || echo "no backup"
  FOREMAN_ALERT_URL=https://ntfy.sh/my-topic FOREMAN_ALERT_FORMAT=ntfy foreman watch /var/lib/ci/beat --max-age 10m --every 1m
`

interface Look {
  readonly file: string
  /** Null where there is none. */
  readonly ageMs: number | null
  readonly isFresh: boolean
}

const lookAt = async (io: Io, file: string, maxAgeMs: number): Promise<Look> => {
  const at = await io.modifiedAtMs(file)
  const ageMs = at === null ? null : Math.max(0, io.clock.now() - at)
  return { file, ageMs, isFresh: ageMs !== null && ageMs <= maxAgeMs }
}

const wordsOf = ({ file, ageMs }: Look): string =>
  ageMs === null ? `${file} is not there` : `${file} was touched ${humanSpan(ageMs)} ago`

const print = (io: Io, look: Look, isJson: boolean | undefined) => {
  const { file, ageMs, isFresh } = look
  const ageSeconds = ageMs === null ? null : Math.round(ageMs / 1_000)
  if (isJson) io.stdout.write(`${JSON.stringify({ file, fresh: isFresh, age_seconds: ageSeconds })}\n`)
  else io.stdout.write(`${isFresh ? 'fresh' : 'STALE'}  ${wordsOf(look)}\n`)
}

/** A time of at least a second, or null when the flag is wrong and that has been said. */
const readTime = (io: Io, flag: string, text: string): number | null => {
  const parsed: Parsed<number> = parseDurationMs(text)
  if (parsed.kind === 'ok' && parsed.value >= 1_000) return parsed.value
  wrong(io, `${flag} is ${JSON.stringify(text)}: expected a duration such as 10m or 1h, at least 1s`)
  return null
}

interface Round {
  readonly files: readonly string[]
  readonly maxAgeMs: number
  readonly everyMs: number
  readonly isJson: boolean | undefined
}

/** Looks until it is stopped; what changes is printed and told. */
const watchOn = async (io: Io, { files, maxAgeMs, everyMs, isJson }: Round, target: AlertTarget | null) => {
  const stop = Promise.withResolvers<void>()
  let isStopped = false
  io.onSignal(() => {
    isStopped = true
    stop.resolve()
  })
  const desk = new AlertDesk([], io.clock.now())
  const known = new Map<string, boolean>()
  while (!isStopped) {
    for (const look of await Promise.all(files.map((file) => lookAt(io, file, maxAgeMs)))) {
      if (known.get(look.file) !== look.isFresh) print(io, look, isJson)
      known.set(look.file, look.isFresh)
      const words = `${wordsOf(look)}, and should be touched every ${formatDuration(maxAgeMs)}`
      const subject = { part: 'watch', name: look.file, words }
      if (look.isFresh) desk.resolved(subject, io.clock.now())
      else desk.raised(subject, io.clock.now())
    }
    if (target !== null) await postAlerts(io, desk, target)
    const next = Promise.withResolvers<void>()
    const cancel = io.clock.after(everyMs, next.resolve)
    await Promise.race([next.promise, stop.promise])
    cancel()
  }
  return exitCode.ok
}

export const watchCommand: Command = {
  help,
  async run(args, io) {
    const known = { 'max-age': { type: 'string' }, every: { type: 'string' }, json: { type: 'boolean' } } as const
    const flags = readFlags(args, known, { io, help, restMax: Number.POSITIVE_INFINITY })
    if (flags.kind === 'exit') return flags.code
    const { values, rest: files } = flags
    if (files.length === 0) return wrong(io, 'watch needs a file to look at').code
    if (values['max-age'] === undefined) return wrong(io, 'watch needs --max-age: how old a fresh file may be').code
    const maxAgeMs = readTime(io, '--max-age', values['max-age'])
    const everyMs = values.every === undefined ? 0 : readTime(io, '--every', values.every)
    if (maxAgeMs === null || everyMs === null) return exitCode.usage
    const { values: settings, problems } = readSettings(alertSettings, io.env)
    for (const problem of problems) io.stderr.write(`foreman: ${problem}\n`)
    if (settings === null) return exitCode.usage
    if (everyMs > 0) {
      const { alertUrl: url, alertFormat: format, alertToken: token } = settings
      const round = { files, maxAgeMs, everyMs, isJson: values.json }
      return watchOn(io, round, url === null ? null : { url, format, token })
    }
    const looks = await Promise.all(files.map((file) => lookAt(io, file, maxAgeMs)))
    for (const look of looks) print(io, look, values.json)
    return looks.every(({ isFresh }) => isFresh) ? exitCode.ok : exitCode.no
  },
}
