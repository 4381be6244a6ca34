/** The table of docs/reference/clients.md, made of what ran. */
import type { Told, Verdict } from './judge.ts'

const BEGIN = '<!-- clients:begin -->\n'
const END = '<!-- clients:end -->'

/** One client's row. */
export const rowOf = (cases: readonly { readonly told: Told; readonly verdict: Verdict }[]): string => {
  const [first] = cases
  if (first === undefined) return ''
  const raises = cases.filter(({ verdict }) => verdict.why.startsWith('raises')).length
  const limited = cases.filter(({ verdict }) => verdict.why.startsWith('does not')).length
  const same = cases.filter(({ verdict }) => verdict.ok).length - raises - limited
  const mid = cases.filter(({ told }) => told.case.includes(' fails-'))
  const raised = mid.filter(({ verdict }) => verdict.ok).length
  const notes = limited > 0 ? `${limited}: does not end its request when it is left, directly neither` : ''
  const { client, version } = first.told
  return `| ${client} | ${version} | ${cases.length} | ${same} | ${raises} | ${raised} of ${mid.length} | ${notes} |`
}

/** The rows that stand in a document. */
export const rowsIn = (document: string): string[] => {
  const table = document.split(BEGIN)[1]?.split(END)[0] ?? ''
  return table.split('\n').filter((line) => line.startsWith('|'))
}

/** The document with these rows below the table's head; a client that did not run keeps its row. */
export const withRows = (document: string, rows: readonly string[]): string => {
  const [head = '', rule = '', ...before] = rowsIn(document)
  const nameOf = (row: string) => row.split('|')[1]?.trim()
  const kept = before.map((row) => rows.find((one) => nameOf(one) === nameOf(row)) ?? row)
  const added = rows.filter((row) => !before.some((one) => nameOf(one) === nameOf(row)))
  const table = [head, rule, ...kept, ...added].join('\n')
  const [start = '', rest = ''] = document.split(BEGIN)
  return `${start}${BEGIN}${table}\n${END}${rest.split(END)[1] ?? ''}`
}
