/** The second half of `foreman status --why`: each judgement with its reason, and what happened lately. */
import type { Io } from './command.ts'
import { fieldOf, listOf, textOf } from './fields.ts'
import { oneLine } from './job.ts'
import { humanSpan, renderPairs, type Style } from './table.ts'

const NARROW = 80

/** A value as a person reads it: `model pin, loaded true; model other, loaded false`. What is not known is left out. */
export const wordsOf = (told: unknown): string => {
  if (Array.isArray(told)) return told.map(wordsOf).join('; ')
  if (typeof told !== 'object' || told === null) return String(told)
  return Object.entries(told)
    .flatMap(([name, value]) => (value === null ? [] : [`${name} ${wordsOf(value)}`]))
    .join(', ')
}

/** Long sentences go on in lines of their own, under their beginning. */
const hanging = (text: string, hang: number, columns: number): string => {
  const lines: string[] = []
  let rest = text
  while (Bun.stringWidth(rest) > columns - hang) {
    const at = rest.lastIndexOf(' ', columns - hang)
    if (at <= 0) break
    lines.push(rest.slice(0, at))
    rest = rest.slice(at + 1)
  }
  return [...lines, rest].join(`\n${' '.repeat(hang)}`)
}

/** Names and their texts, none wider than the terminal. */
export const renderHanging = (
  pairs: readonly (readonly [string, string])[],
  io: Io,
  style: Style,
  hang = hangOf(pairs),
): string => {
  const columns = io.stdout.columns ?? NARROW
  return renderPairs(
    pairs.map(([name, text]) => [name, hanging(text, hang, columns)] as const),
    style,
  )
}

const hangOf = (pairs: readonly (readonly [string, string])[]) =>
  Math.max(...pairs.map(([name]) => Bun.stringWidth(name))) + 2

const newsText = (news: unknown, io: Io): string => {
  const at = Date.parse(textOf(news, 'at') ?? '')
  const span = Number.isNaN(at) ? '?' : `${humanSpan(io.clock.now() - at)} ago`
  return `${span}, ${textOf(news, 'state') ?? '?'}: ${oneLine(textOf(news, 'words') ?? '', 300)}`
}

/** Nothing where the document has neither. */
export const renderWhy = (document: unknown, io: Io, style: Style): string => {
  const reasons = Object.entries(fieldOf(document, 'reasons') ?? {})
  const judged = reasons.map(
    ([name, reason]) => [name, `${wordsOf(fieldOf(document, name))}: ${String(reason)}`] as const,
  )
  const news = listOf(document, 'lately').map((one) => [textOf(one, 'name') ?? '?', newsText(one, io)] as const)
  const pairs = [...judged, ...news]
  if (pairs.length === 0) return '\nNothing was judged and nothing happened since foreman began.\n'
  const hang = hangOf(pairs)
  const block = (some: typeof pairs) => (some.length === 0 ? '' : `\n${renderHanging(some, io, style, hang)}`)
  return block(judged) + block(news)
}
