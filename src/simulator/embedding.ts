/** Embeddings for all three APIs: the same text gives the same vector on every run; it must never touch the generation counters. */

import { keepAliveMs } from './ability.ts'
import { goJson, JSON_PLAIN, sendJson } from './answer.ts'
import { goStructs } from './go-schema.ts'
import type { InstalledModel } from './model.ts'
import { decodeV1 } from './openai-body.ts'
import { type Bag, bag, text } from './request-body.ts'
import { readOptions } from './runner-options.ts'
import {
  BUSY,
  type Call,
  decodeOrRefuse,
  embeddingsNames,
  embedNames,
  type Handler,
  modelOrRefuse,
  nameProblem,
  refuse,
  type Stage,
} from './stage.ts'

const DIMENSIONS = 16

/** A vector in float32 steps, not normalised. Same text, same vector. */
const rawVector = ({ spec }: InstalledModel, input: string): number[] => {
  if (spec.vector) return [...spec.vector]
  let seed = 0x811c9dc5
  for (let i = 0; i < input.length; i++) seed = Math.imul(seed ^ input.charCodeAt(i), 0x01000193)
  return Array.from({ length: spec.embeddingLength ?? DIMENSIONS }, () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) | 0
    return Math.fround(seed / 2 ** 31)
  })
}

const normalised = (vector: readonly number[]): number[] => {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0))
  return vector.map((x) => Math.fround(length === 0 ? 0 : x / length))
}

/** The shortest digits that read back as the same float32, as Go prints one. */
const float32Digits = (x: number): number => {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(x.toPrecision(digits))
    if (Math.fround(short) === x) return short
  }
  return Number(x.toPrecision(9))
}

const tokensOf = (model: InstalledModel, input: string) =>
  model.spec.inputTokens ?? Math.max(1, Math.ceil(input.length / 4))

interface Embedded {
  readonly vectors: number[][]
  readonly tokens: number
  readonly totalNs: number
  readonly loadNs: number
}

/** One slot per input, all asked for at once. */
const embedAll = async (
  stage: Stage,
  call: Call,
  slow: number,
  run: { slot: () => Promise<boolean> | boolean; leave: () => void },
  count: number,
) => {
  const one = async () => {
    if (!(await run.slot())) return false
    const ms = stage.settings.firstTokenMs * slow
    const stays = ms > 0 ? await stage.pulse.delay(ms, call.exchange) : true
    run.leave()
    return stays
  }
  return (await Promise.all(Array.from({ length: count }, one))).every(Boolean)
}

/** Loads the model and embeds; null when the call was refused or its client left. */
const embed = async (
  stage: Stage,
  call: Call,
  model: InstalledModel,
  request: Bag,
  inputs: string[],
): Promise<Embedded | null> => {
  const startNs = stage.pulse.nanoseconds()
  const read = readOptions(model, bag(request.options), undefined)
  if (read.kind === 'bad') {
    refuse(stage, call, 500, read.text)
    return null
  }
  const slow = call.fault?.kind === 'slow' ? call.fault.factor : 1
  const grant = await stage.scheduler.acquire({
    model,
    options: read.options,
    keepAliveMs: keepAliveMs(request.keep_alive),
    departure: call.exchange,
    slowFactor: slow,
    loadError: undefined,
  })
  if (grant.kind !== 'ready') {
    if (grant.kind === 'failed') refuse(stage, call, 500, grant.text)
    else if (grant.kind === 'busy') refuse(stage, call, 503, BUSY)
    return null
  }
  const loadNs = stage.pulse.nanoseconds() - startNs
  try {
    const { runner } = grant
    const run = { slot: () => runner.slot(call.exchange), leave: () => runner.leaveSlot() }
    if (!(await embedAll(stage, call, slow, run, inputs.length))) return null
  } finally {
    grant.release()
  }
  const tokens = inputs.reduce((sum, input) => sum + tokensOf(model, input), 0)
  const vectors = inputs.map((input) => rawVector(model, input))
  return { vectors, tokens, loadNs, totalNs: stage.pulse.nanoseconds() - startNs }
}

/** The inputs of a request: a string, a list of strings, or nothing; null for anything else. */
const inputsOf = (input: unknown): string[] | null => {
  if (input === undefined || input === null || input === '') return []
  if (typeof input === 'string') return [input]
  return Array.isArray(input) && input.every((item) => typeof item === 'string') ? input : null
}

const shortened = (vector: number[], dimensions: unknown): number[] =>
  normalised(typeof dimensions === 'number' && dimensions > 0 ? vector.slice(0, dimensions) : vector)

/** POST /api/embed */
export const embedRoute: Handler = async (stage, call) => {
  const request = decodeOrRefuse(stage, call, call.exchange.request.body, goStructs['/api/embed'])
  if (!request) return
  const inputs = inputsOf(request.input)
  if (!inputs) return refuse(stage, call, 400, 'invalid input type')
  const asked = text(request.model)
  const model = modelOrRefuse(stage, call, asked, embedNames)
  if (!model) return
  if (request.truncate === false && inputs.some((input) => tokensOf(model, input) > model.contextLength))
    return refuse(stage, call, 400, 'the input length exceeds the context length')
  const embedded = await embed(stage, call, model, request, inputs)
  if (!embedded) return
  if (inputs.length === 0) return sendJson(call.exchange, { model: asked, embeddings: [] })
  sendJson(call.exchange, {
    model: asked,
    embeddings: embedded.vectors.map((vector) => shortened(vector, request.dimensions).map(float32Digits)),
    total_duration: Math.max(1, Math.round(embedded.totalNs)),
    load_duration: Math.max(1, Math.round(embedded.loadNs)),
    prompt_eval_count: embedded.tokens,
  })
}

/** POST /api/embeddings, which alone compares the case of names. */
export const embeddingsRoute: Handler = async (stage, call) => {
  const request = decodeOrRefuse(stage, call, call.exchange.request.body, goStructs['/api/embeddings'])
  if (!request) return
  const asked = text(request.model)
  const lookup = stage.library.findExact(asked)
  if (lookup.kind !== 'found') {
    const problem = nameProblem(asked, lookup, embeddingsNames)
    return problem ? refuse(stage, call, problem.status, problem.text) : undefined
  }
  const prompt = text(request.prompt)
  const embedded = await embed(stage, call, lookup.model, request, prompt === '' ? [] : [prompt])
  if (embedded) sendJson(call.exchange, { embedding: (embedded.vectors[0] ?? []).map(Math.fround) })
}

/** POST /v1/embeddings */
export const openaiEmbeddings: Handler = async (stage, call) => {
  const request = decodeV1(stage, call, goStructs['/v1/embeddings'])
  if (!request) return
  const inputs = request.input === '' ? [''] : inputsOf(request.input)
  if (!inputs || request.input === undefined || request.input === null)
    return refuse(stage, call, 400, 'invalid input', { origin: 'middleware' })
  const asked = text(request.model)
  const model = modelOrRefuse(stage, call, asked, embedNames)
  if (!model) return
  const embedded = await embed(stage, call, model, {}, inputs)
  if (!embedded) return
  const packed = request.encoding_format === 'base64'
  const data = embedded.vectors.map((vector, index) => {
    const floats = shortened(vector, request.dimensions)
    const base64 = () => Buffer.from(new Float32Array(floats).buffer).toString('base64')
    return { object: 'embedding', embedding: packed ? base64() : floats.map(float32Digits), index }
  })
  const usage = { prompt_tokens: embedded.tokens, total_tokens: embedded.tokens }
  call.exchange.send(200, [JSON_PLAIN], `${goJson({ object: 'list', data, model: asked, usage })}\n`)
}
