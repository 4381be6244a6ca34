/** What a person expects a model to say: short answers to well-known questions, JSON where it was asked for; it must never pretend to know more. */
import { bag } from './request-body.ts'
import { sampleOf } from './schema-sample.ts'

/** What a request asks for, as far as words go. */
export interface Question {
  readonly prompt: string
  /** `"json"`, a JSON schema, or nothing. */
  readonly format: unknown
  /** What a tool answered just before; null when none did. */
  readonly toolResult: string | null
}

const topics: readonly (readonly [pattern: RegExp, answer: string])[] = [
  [
    /\bsky\b.*\bblue\b|\bblue\b.*\bsky\b|天空/is,
    'The sky is blue because the nitrogen and oxygen of the atmosphere scatter sunlight. Short wavelengths such as blue scatter far more than red ones, which is called Rayleigh scattering.',
  ],
  [
    /\b(ocean|sea)\b.*\bblue\b/is,
    'Water molecules absorb the red and orange wavelengths of sunlight and scatter the blue ones back, so the ocean looks blue, the more so with depth.',
  ],
  [
    /\b(dirt|soil)\b/i,
    'Soil is brown because it is a mixture of decomposed organic matter and minerals such as iron oxide, which absorb most wavelengths.',
  ],
  [
    /\brainbows?\b/i,
    'A rainbow forms when sunlight enters raindrops, refracts, reflects from their back and leaves split into the colors of the spectrum.',
  ],
  [
    /\bindependence day\b/i,
    'It marks the fourth of July 1776, when the Continental Congress adopted the Declaration of Independence.',
  ],
  [
    /\bcomposition of air\b|\bair\b.*\b(made|consist)/is,
    'Air is a mixture of gases: about 78 % nitrogen, 21 % oxygen, nearly 1 % argon, some carbon dioxide and water vapor.',
  ],
  [/\b(smil(e|e?y)|emoji)/i, '😀 😊 😄'],
  [/\bcapital of japan\b/i, 'Tokyo.'],
  [/\bcapital of france\b/i, 'Paris.'],
  [/\bsql\b/i, 'select name, count(*) from jobs group by name;'],
  [/\bfibonacci\b/i, 'def f(n):\n    return n if n < 2 else f(n-1) + f(n-2)\n'],
  [/\byes or no\b/i, 'Yes.'],
  [/\b(safe|unsafe)\b/i, 'safe'],
  [/\b(thank you|thanks)\b/i, 'You are welcome!'],
  [/^\s*(hi|hello|hey|hallo|good (morning|evening))\b/i, 'Hello! How can I help you today?'],
  [
    /\b(story|tale|poem)\b/i,
    'Once there was a small lighthouse that had never missed a night. Ships came and went, and its keeper wrote each name into a book.',
  ],
]

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

const prose = (prompt: string): string => {
  const asked = withoutMarkers(prompt)
  const known = topics.find(([pattern]) => pattern.test(asked))?.[1]
  const answer = sum(asked) ?? known ?? choice(asked)
  if (answer !== undefined) return answer
  const echo = asked.replaceAll(/\s+/g, ' ').slice(0, 80)
  if (echo === '') return 'Hello! How can I help you today?'
  return `You asked: "${echo}". A simulated model has no knowledge of its own, so this is only what an answer of this length would look like.`
}

/** The whole answer. */
export const answerTo = ({ prompt, format, toolResult }: Question): string => {
  if (format === 'json') return JSON.stringify({ answer: prose(prompt) })
  const schema = bag(format)
  if (Object.keys(schema).length > 0) return JSON.stringify(sampleOf(schema, withoutMarkers(prompt)))
  return toolResult === null ? prose(prompt) : `The tool says: ${toolResult.slice(0, 500)}`
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
