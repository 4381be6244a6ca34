/** Text in columns for people; it must never colour what does not go to a terminal. */
import type { Io } from './command.ts'

export interface Style {
  bold(text: string): string
  dim(text: string): string
  bad(text: string): string
  good(text: string): string
}

/** Colours for a terminal, nothing for a pipe or when NO_COLOR is set (https://no-color.org). */
export const createStyle = ({ env, stdout }: Pick<Io, 'env' | 'stdout'>): Style => {
  const isColoured = stdout.isTerminal && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
  const paint = (code: number) => (text: string) => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text)
  return { bold: paint(1), dim: paint(2), bad: paint(31), good: paint(32) }
}

/** Rows under their headings, columns two blanks apart, numbers in columns named in `right` to the right. */
export const renderTable = (
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
  right: readonly string[] = [],
) => {
  const widths = headings.map((heading, column) =>
    Math.max(Bun.stringWidth(heading), ...rows.map((row) => Bun.stringWidth(row[column] ?? ''))),
  )
  const line = (cells: readonly string[]) =>
    headings
      .map((heading, column) => {
        const cell = cells[column] ?? ''
        const blanks = ' '.repeat(widths[column]! - Bun.stringWidth(cell))
        return right.includes(heading) ? blanks + cell : cell + blanks
      })
      .join('  ')
      .trimEnd()
  return [style.bold(line(headings)), ...rows.map(line), ''].join('\n')
}

/** Names and values under each other. */
export const renderPairs = (pairs: readonly (readonly [string, string])[], style: Style) => {
  const width = Math.max(...pairs.map(([name]) => Bun.stringWidth(name)))
  return pairs.map(([name, value]) => `${style.bold(name.padEnd(width))}  ${value}\n`).join('')
}

/** Decimal sizes as `ollama list` prints them: 2.0 GB, 274 MB. */
export const humanBytes = (bytes: number): string => {
  for (const [unit, factor] of [
    ['TB', 1e12],
    ['GB', 1e9],
    ['MB', 1e6],
    ['KB', 1e3],
  ] as const) {
    if (bytes >= factor)
      return `${bytes / factor >= 10 || unit === 'MB' || unit === 'KB' ? Math.round(bytes / factor) : (bytes / factor).toFixed(1)} ${unit}`
  }
  return `${bytes} B`
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
