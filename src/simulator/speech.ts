/** What a person expects a model to say: short answers to well-known questions, JSON where it was asked for; it must never pretend to know more. */
import { bag } from './request-body.ts'
import { sampleOf } from './schema-sample.ts'
import { topics } from './topics.ts'

/** What a request asks for, as far as words go. */
export interface Question {
  readonly prompt: string
  /** What the same person said before. */
  readonly before?: string
  /** `"json"`, a JSON schema, or nothing. */
  readonly format: unknown
  /** What a tool answered just before; null when none did. */
  readonly toolResult: string | null
}

const operators: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  plus: (a, b) => a + b,
  '-': (a, b) => a - b,
  minus: (a, b) => a - b,
  '*': (a, b) => a * b,
  x: (a, b) => a * b,
  times: (a, b) => a * b,
  'multiplied by': (a, b) => a * b,
  '/': (a, b) => a / b,
  'divided by': (a, b) => a / b,
}

const sum = (prompt: string): string | undefined => {
  const found = /(\d{1,9})\s*(\+|-|\*|x|\/|plus|minus|times|multiplied by|divided by)\s*(\d{1,9})/i.exec(prompt)
  const operate = found ? operators[found[2]!.toLowerCase()] : undefined
  const value = operate?.(Number(found![1]), Number(found![3]))
  return value === undefined || !Number.isFinite(value)
    ? undefined
    : `${found![0]} is ${Number(value.toPrecision(12))}.`
}

/** One of the choices that a prompt offers: "answer with one of: bug, feature, question". */
const choice = (prompt: string): string | undefined => {
  const offered = /\b(?:one of|either|classify (?:it )?as)\b\s*:?\s*([^.?!\n]{3,200})/i.exec(prompt)?.[1]
  return offered
    ?.split(/,|\bor\b|\//)
    .map((word) => word.replaceAll(/["'`()]/g, '').trim())
    .find((word) => word !== '')
}

const withoutMarkers = (prompt: string) => prompt.replaceAll(/\[\[[^\]]*\]\]/g, '').trim()

const topicOf = (asked: string): string | undefined => topics.find(([pattern]) => pattern.test(asked))?.[1]

// "Explain the physics involved in them", "tell me more".
const FOLLOW_UP = /\b(them|they|it|that|this|those|more|again|go on|continue)\b/i
const NAMED = /\bmy name is ([\p{L}'-]{1,40})/iu

const remembered = (asked: string, before: string): string | undefined => {
  if (/\bmy name\b/i.test(asked) && !NAMED.test(asked)) {
    const name = NAMED.exec(before)?.[1]
    if (name !== undefined) return `Your name is ${name}.`
  }
  return FOLLOW_UP.test(asked) ? topicOf(before) : undefined
}

const prose = (prompt: string, before: string): string => {
  const asked = withoutMarkers(prompt)
  const answer = sum(asked) ?? topicOf(asked) ?? choice(asked) ?? remembered(asked, withoutMarkers(before))
  if (answer !== undefined) return answer
  const name = NAMED.exec(asked)?.[1]
  if (name !== undefined) return `Hello ${name}! How can I help you today?`
  const echo = asked.replaceAll(/\s+/g, ' ').slice(0, 80)
  if (echo === '') return 'Hello! How can I help you today?'
  return `You asked: "${echo}". A simulated model has no knowledge of its own, so this is only what an answer of this length would look like.`
}

/** The whole answer. */
export const answerTo = ({ prompt, before = '', format, toolResult }: Question): string => {
  if (format === 'json') return JSON.stringify({ answer: prose(prompt, before) })
  const schema = bag(format)
  if (Object.keys(schema).length > 0) return JSON.stringify(sampleOf(schema, withoutMarkers(prompt)))
  return toolResult === null ? prose(prompt, before) : `The tool says: ${toolResult.slice(0, 500)}`
}

/** What a thinking model thinks before. */
export const thoughtOn = (prompt: string): string => {
  const asked = withoutMarkers(prompt).replaceAll(/\s+/g, ' ').slice(0, 60)
  return `The user says "${asked}". I should answer that briefly and plainly.`
}

/** Cuts a text into tokens, a word with its blank each; JSON into pieces of a few letters. */
export const tokensOf = (said: string): string[] => said.match(/\S{1,12}\s*|\s+/gu) ?? []

/** Exactly so many tokens of a text, told again as often as it takes. */
export const stretched = (said: string, count: number): string[] => {
  const tokens = tokensOf(said.endsWith(' ') ? said : `${said} `)
  return Array.from({ length: count }, (_, i) => tokens[i % Math.max(1, tokens.length)] ?? 'and ')
}
