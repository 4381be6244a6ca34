/** The second half of `foreman status --why`: each judgement with its reason, and what happened lately. */
import type { Io } from './command.ts'
import { fieldOf, listOf, textOf } from './fields.ts'
import { oneLine } from './job.ts'
import { humanSpan, renderPairs, type Style } from './table.ts'

const NARROW = 80
const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value ?? null))

/** Long sentences go on in lines of their own, under their beginning. */
const hanging = (text: string, hang: number, columns: number): string => {
  const lines: string[] = []
  let rest = text
  while (rest.length > columns - hang) {
    const at = rest.lastIndexOf(' ', columns - hang)
    if (at <= 0) break
    lines.push(rest.slice(0, at))
    rest = rest.slice(at + 1)
  }
  return [...lines, rest].join(`\n${' '.repeat(hang)}`)
}

const newsText = (news: unknown, io: Io): string => {
  const at = Date.parse(textOf(news, 'at') ?? '')
  const span = Number.isNaN(at) ? '?' : `${humanSpan(io.clock.now() - at)} ago`
  return `${span}, ${textOf(news, 'state') ?? '?'}: ${oneLine(textOf(news, 'words') ?? '', 300)}`
}

/** Nothing where the document has neither. */
export const renderWhy = (document: unknown, io: Io, style: Style): string => {
  const reasons = Object.entries(fieldOf(document, 'reasons') ?? {})
  const judged = reasons.map(
    ([name, reason]) => [name, `${shown(fieldOf(document, name))}: ${String(reason)}`] as const,
  )
  const news = listOf(document, 'lately').map((one) => [textOf(one, 'name') ?? '?', newsText(one, io)] as const)
  const pairs = [...judged, ...news]
  if (pairs.length === 0) return '\nNothing was judged and nothing happened since foreman began.\n'
  const hang = Math.max(...pairs.map(([name]) => Bun.stringWidth(name))) + 2
  const columns = io.stdout.columns ?? NARROW
  const block = (some: typeof pairs) =>
    some.length === 0
      ? ''
      : `\n${renderPairs(
          some.map(([name, text]) => [name, hanging(text, hang, columns)] as const),
          style,
        )}`
  return block(judged) + block(news)
}
