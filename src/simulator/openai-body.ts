/** What the /v1 routes have in common before a model works: zstd bodies, message text, a task without native options; it must never answer in a voice. */

import { capabilityProblem, saidBefore, toolCall, toolResult } from './ability.ts'
import type { GoStruct } from './go-schema.ts'
import type { Capability, InstalledModel } from './model.ts'
import { type Bag, bag, bags, text } from './request-body.ts'
import { readOptions } from './runner-options.ts'
import { type Call, chatNames, decodeOrRefuse, modelOrRefuse, type NameWords, refuse, type Stage } from './stage.ts'
import type { Task } from './voice.ts'

// Ollama's bound on what a zstd body may unpack to.
const UNPACKED_MAX = 20 << 20

const unpack = (stage: Stage, call: Call): Uint8Array | null => {
  const { headers, body } = call.exchange.request
  if (headers.get('content-encoding') !== 'zstd') return body
  try {
    const bytes = Bun.zstdDecompressSync(body)
    if (bytes.length <= UNPACKED_MAX) return bytes
    refuse(stage, call, 400, 'http: request body too large', { origin: 'middleware' })
  } catch (error) {
    // Bun throws plain Errors for corrupt frames; the client sees a 400 whatever was wrong with them.
    const reason = error instanceof Error ? error.message : String(error)
    refuse(stage, call, 400, `failed to decompress zstd body: ${reason}`, { origin: 'middleware' })
  }
  return null
}

/** The decoded body of a /v1 route, or null when the call was refused. */
export const decodeV1 = (stage: Stage, call: Call, struct: GoStruct): Bag | null => {
  const body = unpack(stage, call)
  return body ? decodeOrRefuse(stage, call, body, struct) : null
}

/** Refuses what the middleware itself notices; the result stands for "refused". */
export const refuseEarly = (stage: Stage, call: Call, message: string): void =>
  refuse(stage, call, 400, message, { origin: 'middleware' })

/** What a /v1 request asks for, in native terms. */
export interface Wanted {
  readonly request: Bag
  readonly prompt: string
  readonly numPredict: unknown
  /** null: the model's default. */
  readonly think: boolean | null
  readonly verb?: 'chat' | 'generate'
  readonly names?: NameWords
  readonly needs?: readonly Capability[]
}

/** `response_format` of chat completions and `text.format` of responses, as the native API would say it. */
const formatOf = (request: Bag): unknown => {
  const wanted = bag(request.response_format ?? bag(request.text).format)
  if (wanted.type === 'json_object') return 'json'
  return wanted.type === 'json_schema' ? (wanted.schema ?? bag(wanted.json_schema).schema) : null
}

/** A task without keep_alive and runner options, which these APIs do not have; null when the call was refused. */
export const v1Task = (stage: Stage, call: Call, wanted: Wanted): Task | null => {
  const { request, prompt, think, numPredict } = wanted
  const asked = text(request.model)
  const streaming = request.stream === true
  const model = modelOrRefuse(stage, call, asked, wanted.names ?? chatNames, streaming)
  if (!model) return null
  const needs: Capability[] = [...(wanted.needs ?? [])]
  if (bags(request.tools).length > 0) needs.push('tools')
  // /v1/messages drops a wish to think that the model cannot fulfil.
  if (think === true && call.route.flavour !== 'anthropic') needs.push('thinking')
  const problem = capabilityProblem(model, asked, wanted.verb ?? 'chat', needs)
  if (problem !== null) {
    refuse(stage, call, 400, problem, { streaming })
    return null
  }
  return plainTask(model, {
    prompt,
    before: saidBefore(bags(request.messages ?? request.input)),
    streaming,
    thinks: think !== false && model.capabilities.includes('thinking'),
    tool: toolCall(stage, model, request.tools, prompt),
    format: formatOf(request),
    toolResult: toolResult(bags(request.messages ?? request.input)),
    numPredict: typeof numPredict === 'number' && numPredict > 0 ? numPredict : -1,
    debugRender: request._debug_render_only === true,
  })
}

/** A task with the model's own options. */
export const plainTask = (
  model: InstalledModel,
  own: Omit<Task, 'model' | 'options' | 'keepAliveMs' | 'loadOnly' | 'lateError'>,
): Task => {
  const read = readOptions(model, undefined, undefined)
  if (read.kind === 'bad') throw new Error(`no options cannot be wrong: ${read.text}`)
  return { ...own, model, options: read.options, keepAliveMs: undefined, loadOnly: false, lateError: null }
}
