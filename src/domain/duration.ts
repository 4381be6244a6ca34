/** Durations and sizes as people and Ollama write them, to numbers and back; it must never throw and never read a clock. */

/** A text that was understood, or one sentence that says why it was not. */
export type Parsed<T> = { readonly kind: 'ok'; readonly value: T } | { readonly kind: 'bad'; readonly problem: string }

const nanosecondsPerUnit: ReadonlyMap<string, number> = new Map([
  ['ns', 1],
  ['us', 1e3],
  ['\u00b5s', 1e3],
  ['\u03bcs', 1e3],
  ['ms', 1e6],
  ['s', 1e9],
  ['m', 60e9],
  ['h', 3600e9],
])

const bytesPerUnit: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['kib', 1024],
  ['mib', 1024 ** 2],
  ['gib', 1024 ** 3],
  ['tib', 1024 ** 4],
])

/** Go counts durations in int64 nanoseconds; what does not fit (292 years) is invalid there and here. */
const nanosecondsMax = 2 ** 63

/** A size such as `256KiB`, `1.5GiB` or a bare number of bytes; only whole bytes are accepted. */
export const parseSizeBytes = (text: string): Parsed<number> => {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const factor = match ? bytesPerUnit.get(match[2]!.toLowerCase()) : undefined
  const value = match && factor !== undefined ? Number(match[1]) * factor : Number.NaN
  if (!Number.isSafeInteger(value)) return { kind: 'bad', problem: `"${text}" is not a size such as 256KiB or 128MiB` }
  return { kind: 'ok', value }
}

/** A configured duration in milliseconds: a Go duration (`1.5h`, `1m30s`) or a bare number of seconds. May be negative. */
export const parseDurationMs = (text: string): Parsed<number> => {
  const trimmed = text.trim()
  if (/^[-+]?\d+(\.\d+)?$/.test(trimmed)) {
    const ms = Math.round(Number(trimmed) * 1e6) / 1e3
    return ms * 1e6 < nanosecondsMax ? { kind: 'ok', value: ms } : invalid(trimmed)
  }
  return parseGoDurationMs(trimmed)
}

/** Exactly Go's `time.ParseDuration`, in milliseconds: a unit is required, and a problem is worded as Go words it. */
export const parseGoDurationMs = (text: string): Parsed<number> => {
  const negative = text.startsWith('-')
  let rest = negative || text.startsWith('+') ? text.slice(1) : text
  if (rest === '0') return { kind: 'ok', value: 0 }
  if (rest === '') return invalid(text)
  let nanoseconds = 0
  while (rest !== '') {
    const match = /^(\d*)(?:\.(\d*))?([^.\d]*)/.exec(rest)
    const whole = match?.[1] ?? ''
    const fraction = match?.[2] ?? ''
    const unit = match?.[3] ?? ''
    if (whole === '' && fraction === '') return invalid(text)
    if (unit === '') return { kind: 'bad', problem: `time: missing unit in duration ${goQuote(text)}` }
    const factor = nanosecondsPerUnit.get(unit)
    if (factor === undefined) {
      return { kind: 'bad', problem: `time: unknown unit ${goQuote(unit)} in duration ${goQuote(text)}` }
    }
    // Go's own arithmetic: the fraction as a whole number times the unit per scale, truncated, so that 73.001s is exact.
    const fractionNanoseconds = Number(fraction || '0') * (factor / 10 ** fraction.length)
    nanoseconds += Number(whole || '0') * factor + Math.trunc(fractionNanoseconds)
    if (nanoseconds >= nanosecondsMax) return invalid(text)
    rest = rest.slice(match?.[0].length ?? rest.length)
  }
  const ms = nanoseconds / 1e6
  return { kind: 'ok', value: negative && ms !== 0 ? -ms : ms }
}

/** The shortest text that `parseDurationMs` reads back as the same value: `90000` is `1m30s`, `1500` is `1.5s`. */
export const formatDuration = (ms: number): string => {
  if (!Number.isFinite(ms) || ms === 0) return ms === 0 ? '0s' : 'forever'
  if (ms < 0) return `-${formatDuration(-ms)}`
  if (ms < 1000) return `${ms}ms`
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor((ms % 3_600_000) / 60_000)
  const seconds = (ms % 60_000) / 1000
  return `${hours ? `${hours}h` : ''}${minutes ? `${minutes}m` : ''}${seconds ? `${seconds}s` : ''}`
}

/** A span of time in the unit that matters: 45s, 12m, 3h 20m, 5d 2h. */
export const humanSpan = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 ? `${hours}h ${minutes % 60}m` : `${hours}h`
  return hours % 24 ? `${Math.floor(hours / 24)}d ${hours % 24}h` : `${Math.floor(hours / 24)}d`
}

/** The shortest exact text that `parseSizeBytes` reads back as the same value: `262144` is `256KiB`. */
export const formatSize = (bytes: number): string => {
  for (const [unit, factor] of [
    ['TiB', 1024 ** 4],
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`
  }
  return `${bytes}B`
}

const invalid = (text: string): Parsed<number> => ({ kind: 'bad', problem: `time: invalid duration ${goQuote(text)}` })

/** Go's `time` package escapes every byte outside printable ASCII, unlike its `%q`. */
const goQuote = (text: string): string => {
  let quoted = ''
  for (const character of text) {
    if (character >= ' ' && character <= '~')
      quoted += character === '"' || character === '\\' ? `\\${character}` : character
    else for (const byte of new TextEncoder().encode(character)) quoted += `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `"${quoted}"`
}
