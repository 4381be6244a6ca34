/** What every handler is given, and the refusals all of them share; it must never hold state of its own. */
import type { Route } from '../domain/wire/routes.ts'
import { type Origin, sendError } from './answer.ts'
import type { Tally } from './counters.ts'
import type { Exchange } from './exchange.ts'
import type { RequestFault } from './fault.ts'
import type { GoStruct } from './go-schema.ts'
import type { Library, Lookup } from './library.ts'
import type { InstalledModel } from './model.ts'
import type { Pulse } from './pulse.ts'
import { type Bag, decodeBody } from './request-body.ts'
import type { Scheduler } from './scheduler.ts'
import type { Settings } from './settings.ts'

/** The parts of one simulator. */
export interface Stage {
  readonly pulse: Pulse
  readonly tally: Tally
  readonly library: Library
  readonly scheduler: Scheduler
  readonly settings: Settings
  readonly version: string
  /** What pull finds: everything but names that begin with `nope`, or no network. */
  readonly registry: 'full' | 'offline'
}

/** One request on its way through a handler. */
export interface Call {
  readonly exchange: Exchange
  readonly route: Route
  /** The `:name` part of the path. */
  readonly parameter: string
  /** A fault that shows inside the generation: slow, oom, error-mid-stream. */
  readonly fault: RequestFault | undefined
}

export type Handler = (stage: Stage, call: Call) => void | Promise<void>

/** Ollama's words for a full queue, both spaces its own. */
export const BUSY = 'server busy, please try again.  maximum pending requests exceeded'

/** Refuses the call in its API's own shape. */
export const refuse = (
  stage: Stage,
  { exchange, route }: Call,
  status: number,
  text: string,
  more: { origin?: Origin; streaming?: boolean } = {},
): void =>
  sendError(exchange, {
    flavour: route.flavour,
    status,
    text,
    origin: more.origin ?? 'handler',
    streaming: more.streaming ?? false,
    requestId: route.flavour === 'anthropic' ? `req_${stage.pulse.hex(24)}` : '',
  })

/** The decoded body, or null when the call was refused for it. */
export const decodeOrRefuse = (stage: Stage, call: Call, body: Uint8Array, struct: GoStruct): Bag | null => {
  const decoded = decodeBody(body, struct)
  if (decoded.kind === 'ok') return decoded.bag
  const empty = call.route.flavour === 'native' ? 'missing request body' : 'EOF'
  refuse(stage, call, 400, decoded.kind === 'empty' ? empty : decoded.message, { origin: 'middleware' })
  return null
}

/** How a route words a name that leads nowhere. */
export interface NameWords {
  /** An empty name is a 400 unless the route looks it up all the same. */
  readonly emptyIs404: boolean
  readonly missing: (text: string, lookup: Extract<Lookup, { kind: 'missing' | 'cloud' }>) => string
}

const quotedMissing = (text: string) => `model '${text}' not found`
const pullMissing = (text: string) => `model ${JSON.stringify(text)} not found, try pulling it first`

export const chatNames: NameWords = { emptyIs404: false, missing: quotedMissing }
export const generateNames: NameWords = { emptyIs404: true, missing: quotedMissing }
export const embedNames: NameWords = { emptyIs404: true, missing: pullMissing }
export const embeddingsNames: NameWords = { emptyIs404: false, missing: pullMissing }

/** Why a name cannot be used, or null when it can. */
export const nameProblem = (
  text: string,
  lookup: Lookup,
  words: NameWords,
): { status: number; text: string } | null => {
  switch (lookup.kind) {
    case 'found':
      return null
    case 'empty':
      return words.emptyIs404 ? { status: 404, text: quotedMissing('') } : { status: 400, text: 'model is required' }
    case 'conflict':
      return { status: 400, text: `use either :local or :cloud, not both: ${JSON.stringify(text)}` }
    case 'invalid':
      return { status: 400, text: 'invalid model name' }
    case 'cloud':
      return { status: 403, text: 'ollama cloud is disabled: remote model is unavailable' }
    case 'missing':
      return { status: 404, text: words.missing(text, lookup) }
    default:
      return lookup satisfies never
  }
}

/** The installed model that `text` names, or null when the call was refused for it. */
export const modelOrRefuse = (
  stage: Stage,
  call: Call,
  text: string,
  words: NameWords,
  streaming = false,
): InstalledModel | null => {
  const lookup = stage.library.find(text)
  if (lookup.kind === 'found') return lookup.model
  const problem = nameProblem(text, lookup, words)
  if (problem) refuse(stage, call, problem.status, problem.text, { streaming })
  return null
}
