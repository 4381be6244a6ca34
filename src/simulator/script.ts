/** What the simulated model says: prompts carry `[[marker]]`s that script it; it must never take time or touch a socket. */

import { answerTo, type Question, stretched, thoughtOn, tokensOf } from './speech.ts'

/** A piece of output: one token as a rule. */
export interface Piece {
  readonly text: string
  readonly kind: 'text' | 'thinking' | 'tool'
}

/** How the output ends. */
export type Ending =
  | { readonly kind: 'done'; readonly reason: 'stop' | 'length' }
  /** The runner closes early: no error, no final chunk. */
  | { readonly kind: 'cut' }
  /** `died`: the runner is gone. `outOfMemory`: and everything else is unloaded. */
  | {
      readonly kind: 'broken'
      readonly status: number
      readonly text: string
      readonly died: boolean
      readonly outOfMemory: boolean
    }

export interface Script {
  readonly pieces: readonly Piece[]
  readonly ending: Ending
  /** Silence before the first piece. */
  readonly silentMs: number
  readonly ids: readonly string[]
}

/** What the request adds to its prompt. */
export interface Direction {
  readonly prompt: string
  readonly thinks: boolean
  readonly hasTools: boolean
  readonly numPredict: number
  /** What is said where no marker says otherwise; null: `tok0 tok1 …`. */
  readonly speech: Speech | null
}

/** Words for people. */
export interface Speech {
  readonly question: Question
  /** The model calls its tool without being told to by a marker. */
  readonly callsTool: boolean
}

const DEFAULT_TOKENS = 5
// A prompt is anybody's text: without bounds one marker could eat the memory.
const TOKENS_MAX = 1_000_000
const TOKEN_BYTES_MAX = 64 << 20
// Ollama ends a generation after so many identical tokens in a row.
const REPEAT_MAX = 30
const MARKER = /\[\[([a-z]+[0-9]*)(?:=([^\]]*))?\]\]/g
const STOPPED =
  'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details: '

/** Ollama's words for a runner that died while it worked. */
export const brokenWhileRunning = (text: string): string => `an error was encountered while running the model: ${text}`

const broken = (text: string, more: { status?: number; died?: boolean; outOfMemory?: boolean } = {}): Ending => ({
  kind: 'broken',
  status: more.status ?? 500,
  text,
  died: more.died ?? true,
  outOfMemory: more.outOfMemory ?? false,
})

/** What a runtime out-of-memory before the first token looks like. */
export const outOfMemory: Ending = broken(`${STOPPED}CUDA error: out of memory`, { outOfMemory: true })

const readMarkers = (prompt: string): { values: Map<string, string>; ids: string[] } => {
  const values = new Map<string, string>()
  const ids: string[] = []
  if (!prompt.includes('[[')) return { values, ids }
  for (const [, name, value] of prompt.matchAll(MARKER)) {
    if (name === 'id') ids.push(value ?? '')
    else values.set(name!, value ?? '')
  }
  return { values, ids }
}

/** The number of a marker between 0 and `max`; what is no number counts as `otherwise`. */
const numberOf = (value: string | undefined, otherwise: number, max: number): number => {
  const number = Math.trunc(Number(value ?? otherwise))
  return Number.isNaN(number) ? otherwise : Math.min(Math.max(number, 0), max)
}

/** As many tokens as the prompt asks for, by its marker or by "at least 300 words"; null when it does not say. */
const wantedTokens = (values: Map<string, string>, prompt: string): number | null => {
  const asked = values.get('n') ?? /\bat least (\d{1,6}) words\b/i.exec(prompt)?.[1]
  return asked === undefined ? null : numberOf(asked, DEFAULT_TOKENS, TOKENS_MAX)
}

const piecesOf = (kind: Piece['kind'], texts: readonly string[]): Piece[] => texts.map((text) => ({ text, kind }))

const CALL: Piece = { text: '', kind: 'tool' }

/** `tok0 tok1 …`: what tests count. */
const countedPieces = (count: number, thinking: number, callsTool: boolean): Piece[] => {
  const pieces: Piece[] = []
  for (let i = 0; i < count; i++) {
    if (i === 0 && callsTool) pieces.push(CALL)
    else if (i < thinking) pieces.push({ text: `think${i} `, kind: 'thinking' })
    else pieces.push({ text: `tok${i} `, kind: 'text' })
  }
  return pieces
}

const spokenPieces = (question: Question, count: number | null, thinks: boolean, callsTool: boolean): Piece[] => {
  const thought = thinks ? piecesOf('thinking', tokensOf(thoughtOn(question.prompt))) : []
  if (callsTool) return [...thought, CALL]
  const answer = answerTo(question)
  // A JSON text that is stretched or cut would be none.
  const isJson = question.format !== null && question.format !== undefined && question.format !== ''
  if (count === null || isJson) return [...thought, ...piecesOf('text', tokensOf(answer))]
  const kept = thought.slice(0, count >> 1)
  return [...kept, ...piecesOf('text', stretched(answer, count - kept.length))]
}

const writePieces = (values: Map<string, string>, { prompt, thinks, hasTools, speech }: Direction): Piece[] => {
  const same = numberOf(values.get('same'), 0, TOKENS_MAX)
  if (same > 0) return Array.from({ length: same }, () => ({ text: 'x', kind: 'text' }))
  const bytes = values.get('chunk')
  if (bytes !== undefined) {
    const said = 'x'.repeat(numberOf(bytes, 1, TOKEN_BYTES_MAX))
    return Array.from({ length: numberOf(values.get('n'), 1, TOKENS_MAX) }, () => ({ text: said, kind: 'text' }))
  }
  const callsTool = hasTools && (values.has('tool') || speech?.callsTool === true)
  const count = wantedTokens(values, prompt)
  if (speech) return spokenPieces(speech.question, count, thinks, callsTool)
  const tokens = count ?? DEFAULT_TOKENS
  return countedPieces(tokens, thinks ? tokens >> 1 : 0, callsTool)
}

/** `[[err=500]]`, `[[crash0]]`, `[[oom0]]`: nothing is said at all. */
const endsAtOnce = (values: Map<string, string>): Ending | null => {
  const err = values.get('err')
  if (err !== undefined) {
    const status = Math.max(400, numberOf(err, 500, 599))
    const text = JSON.stringify({ error: { code: status, message: 'fake error', type: 'x' } })
    return broken(text, { status, died: false })
  }
  if (values.has('crash0')) return broken(`${STOPPED}error: fake crash before output`)
  return values.has('oom0') ? outOfMemory : null
}

/**
 * Reads the script of a prompt. Markers: `[[n=5]]` tokens, `[[tool]]`, `[[crash=2]]`, `[[trunc=2]]` after so many tokens,
 * `[[crash0]]`, `[[oom0]]`, `[[err=500]]`, `[[silent=MS]]`, `[[chunk=BYTES]]` tokens of that size, one unless n is given, `[[same=N]]` N equal
 * tokens, `[[id=xyz]]` counted when the model works on it.
 */
export const readScript = (direction: Direction): Script => {
  const { values, ids } = readMarkers(direction.prompt)
  const silentMs = numberOf(values.get('silent'), 0, Number.MAX_SAFE_INTEGER)
  const atOnce = endsAtOnce(values)
  if (atOnce) return { pieces: [], ending: atOnce, silentMs, ids }
  const pieces = writePieces(values, direction)
  const crash = values.get('crash')
  const trunc =
    values.get('trunc') ?? (values.has('same') && pieces.length >= REPEAT_MAX ? String(REPEAT_MAX) : undefined)
  if (crash !== undefined) {
    const ending = broken(brokenWhileRunning('error: fake crash mid stream'))
    return { pieces: pieces.slice(0, numberOf(crash, 0, TOKENS_MAX)), ending, silentMs, ids }
  }
  if (trunc !== undefined)
    return { pieces: pieces.slice(0, numberOf(trunc, 0, TOKENS_MAX)), ending: { kind: 'cut' }, silentMs, ids }
  const { numPredict } = direction
  const isLong = numPredict >= 0 && numPredict < pieces.length
  return {
    pieces: isLong ? pieces.slice(0, numPredict) : pieces,
    ending: { kind: 'done', reason: isLong ? 'length' : 'stop' },
    silentMs,
    ids,
  }
}
