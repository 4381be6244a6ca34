/** Text in columns for people; it must never colour what does not go to a terminal. */
import type { Io } from './command.ts'

export { humanSpan } from '../domain/duration.ts'

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

/** Which columns of a table give way, the first first, and how narrow they may get. */
export interface Fit {
  /** What the terminal has; null is as wide as need be. */
  readonly columns: number | null
  readonly narrow: readonly (readonly [heading: string, least: number])[]
}

const GAP = 2

const cut = (cell: string, width: number): string => {
  if (Bun.stringWidth(cell) <= width) return cell
  let kept = ''
  for (const letter of cell) {
    if (Bun.stringWidth(kept + letter) > width - 1) break
    kept += letter
  }
  return `${kept.trimEnd()}…`
}

/** The widths of the columns, with those that may give way as narrow as they have to be. */
const fitted = (headings: readonly string[], widths: readonly number[], { columns, narrow }: Fit): number[] => {
  const all = [...widths]
  if (columns === null) return all
  for (const [heading, least] of narrow) {
    const at = headings.indexOf(heading)
    const over = all.reduce((sum, width) => sum + width, 0) + GAP * (all.length - 1) - columns
    if (over > 0) all[at] = Math.max(Math.min(all[at]!, least), all[at]! - over)
  }
  return all
}

/** Rows under their headings, columns two blanks apart, numbers in columns named in `right` to the right. */
export const renderTable = (
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
  right: readonly string[] = [],
  fit: Fit = { columns: null, narrow: [] },
) => {
  const wanted = headings.map((heading, column) =>
    Math.max(Bun.stringWidth(heading), ...rows.map((row) => Bun.stringWidth(row[column] ?? ''))),
  )
  const widths = fitted(headings, wanted, fit)
  const line = (cells: readonly string[]) =>
    headings
      .map((heading, column) => {
        const cell = cut(cells[column] ?? '', widths[column]!)
        const blanks = ' '.repeat(widths[column]! - Bun.stringWidth(cell))
        return right.includes(heading) ? blanks + cell : cell + blanks
      })
      .join(' '.repeat(GAP))
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
