/** The tables of docs/reference/clients.md, made of what ran. */
import type { Told, Verdict } from './judge.ts'
import { calls, faults, isExcused, kindOf, pathIn, streamCases, streamPaths } from './wanted.ts'

/** A case with what it means. */
export interface Judged {
  readonly told: Told
  readonly verdict: Verdict
}

export type TableName = 'clients' | 'calls' | 'streams' | 'failures'

const marks = (name: TableName) => ({ begin: `<!-- ${name}:begin -->\n`, end: `<!-- ${name}:end -->` })
const cells = (...all: readonly (string | number)[]): string => `| ${all.join(' | ')} |`
const rightOf = (cases: readonly Judged[]): string =>
  `${cases.filter(({ verdict }) => verdict.ok).length}/${cases.length}`

/** One client's row. */
export const rowOf = (cases: readonly Judged[]): string => {
  const [first] = cases
  if (first === undefined) return ''
  const raises = cases.filter(({ verdict }) => verdict.why.startsWith('raises')).length
  const answered = cases.filter(({ verdict }) => verdict.why.startsWith('answered')).length
  const limited = cases.filter(({ verdict }) => verdict.why.startsWith('does not')).length
  const same = cases.filter(({ verdict }) => verdict.ok).length - raises - answered - limited
  const notes = limited > 0 ? `${limited}: does not end its request when it is left, directly neither` : ''
  const { client, version } = first.told
  return cells(client, version, cases.length, same, raises, answered, notes)
}

const rowBy = (cases: readonly Judged[], kinds: readonly string[]): string => {
  const client = cases[0]?.told.client ?? ''
  const columns = kinds.map((kind) => {
    const tried = cases.filter(({ told }) => kindOf(told.case) === kind)
    return tried.length === 0 && isExcused(client, kind) ? '–' : rightOf(tried)
  })
  return cells(client, ...columns)
}

/** Everything that one client was asked in one piece: right of tried. */
export const callsOf = (cases: readonly Judged[]): string => rowBy(cases, calls)

/** Everything that it was asked of its streams, over all that it has. */
export const streamsOf = (cases: readonly Judged[]): string => rowBy(cases, streamCases)

/** One row for each path: the failures in the middle of its stream that raise, by kind, and in which clients. */
export const failureRows = (cases: readonly Judged[]): string[] =>
  streamPaths.map((path) => {
    const here = cases.filter(({ told }) => pathIn(told.case) === path)
    const counts = faults.map((kind) => rightOf(here.filter(({ told }) => kindOf(told.case) === kind)))
    return cells(path, ...counts, [...new Set(here.map(({ told }) => told.client))].join(', '))
  })

/** Where a path and a kind of failure have been tried with no client at all. */
export const untriedFailures = (cases: readonly Judged[]): string[] =>
  streamPaths.flatMap((path) =>
    faults
      .filter((kind) => !cases.some(({ told }) => pathIn(told.case) === path && kindOf(told.case) === kind))
      .map((kind) => `${path} ${kind}`),
  )

/** The rows that stand in a document. */
export const rowsIn = (document: string, name: TableName): string[] => {
  const { begin, end } = marks(name)
  const table = document.split(begin)[1]?.split(end)[0] ?? ''
  return table.split('\n').filter((line) => line.startsWith('|'))
}

/** The document with these rows below the table's head; a row of which nothing is new stays. */
export const withRows = (document: string, name: TableName, rows: readonly string[]): string => {
  const { begin, end } = marks(name)
  const [head = '', rule = '', ...before] = rowsIn(document, name)
  const nameOf = (row: string) => row.split('|')[1]?.trim()
  const kept = before.map((row) => rows.find((one) => nameOf(one) === nameOf(row)) ?? row)
  const added = rows.filter((row) => !before.some((one) => nameOf(one) === nameOf(row)))
  const table = [head, rule, ...kept, ...added].join('\n')
  const [start = '', rest = ''] = document.split(begin)
  return `${start}${begin}${table}\n${end}${rest.split(end)[1] ?? ''}`
}
