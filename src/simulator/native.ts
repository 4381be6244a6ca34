/** /api/chat and /api/generate: their checks, their idioms and their words; it must never know how tokens come about. */
import {
  capabilityProblem,
  formatProblem,
  keepAliveMs,
  lastUserText,
  saidBefore,
  toolCall,
  toolResult,
} from './ability.ts'
import { goJson, JSON_UTF8, NDJSON } from './answer.ts'
import { generate } from './generation.ts'
import { goStructs } from './go-schema.ts'
import type { Capability, InstalledModel } from './model.ts'
import { utcStamp } from './pulse.ts'
import { type Bag, bag, bags, text } from './request-body.ts'
import { readOptions } from './runner-options.ts'
import type { Piece } from './script.ts'
import {
  type Call,
  chatNames,
  decodeOrRefuse,
  generateNames,
  type Handler,
  modelOrRefuse,
  refuse,
  type Stage,
} from './stage.ts'
import type { Metrics, Result, Task, ToolCall, Voice } from './voice.ts'

/** The line both native routes share, up to what differs. */
const lineHead = (stage: Stage, model: InstalledModel, asked: string) => ({
  model: asked,
  ...(model.spec.remoteHost === undefined
    ? {}
    : { remote_model: model.spec.remoteModel ?? model.name, remote_host: model.spec.remoteHost }),
  created_at: utcStamp(stage.pulse.now()),
})

const nonZero = (metrics: Metrics): Partial<Metrics> =>
  metrics.eval_count > 0 ? metrics : Object.fromEntries(Object.entries(metrics).filter(([, value]) => value !== 0))

const logprobsOf = (pieces: readonly Piece[], top: number) => ({
  logprobs: pieces.map((piece) => {
    const entry = { token: piece.text, logprob: -0.5, bytes: [...Buffer.from(piece.text)] }
    return top > 0 ? { ...entry, top_logprobs: [entry] } : entry
  }),
})

/** What differs between the two routes: how a line carries what is said. */
interface Dialect {
  said(content: string, thinking: string, tool: ToolCall | null): object
  /** More of the last line, before the metrics. */
  readonly closing: object
  readonly silent: object
  readonly debugPrompt: string
}

const nativeVoice = (stage: Stage, task: Task, asked: string, request: Bag, dialect: Dialect): Voice => {
  const { model } = task
  const top = typeof request.top_logprobs === 'number' ? request.top_logprobs : 0
  const logprobs = (pieces: readonly Piece[]) => (request.logprobs === true ? logprobsOf(pieces, top) : {})
  const head = () => lineHead(stage, model, asked)
  const inFinal = model.spec.nativeTemplate === true
  const last = ({ metrics, reason }: Result) => ({
    done: true,
    done_reason: reason,
    ...dialect.closing,
    ...nonZero(metrics),
  })
  return {
    streamHeaders: [NDJSON],
    wholeHeaders: [JSON_UTF8],
    piece(piece) {
      if (piece.kind === 'tool' && inFinal) return []
      const [content, thinking] = piece.kind === 'thinking' ? ['', piece.text] : [piece.text, '']
      const said = dialect.said(content, thinking, piece.kind === 'tool' ? task.tool : null)
      return [`${goJson({ ...head(), ...said, done: false, ...logprobs([piece]) })}\n`]
    },
    finish: (result) => [
      `${goJson({ ...head(), ...dialect.said('', '', inFinal ? result.tool : null), ...last(result) })}\n`,
    ],
    breakOff: (error) => [`${goJson({ error })}\n`],
    whole(result) {
      const said = dialect.said(result.text, result.thinking, result.tool)
      const end = result.reason === null ? { done: false } : last(result)
      return goJson({ ...head(), ...said, ...end, ...logprobs(result.pieces) })
    },
    loaded: () => goJson({ ...head(), ...dialect.said('', '', null), done: true, done_reason: 'load' }),
    debug: () =>
      goJson({ ...head(), ...dialect.silent, done: false, _debug_info: { rendered_template: dialect.debugPrompt } }),
  }
}

const chatDialect = (rendered: string): Dialect => ({
  said: (content, thinking, tool) => ({
    message: {
      role: 'assistant',
      content,
      ...(thinking === '' ? {} : { thinking }),
      ...(tool === null
        ? {}
        : { tool_calls: [{ id: tool.id, function: { index: 0, name: tool.name, arguments: tool.arguments } }] }),
    },
  }),
  closing: {},
  silent: { message: { role: '', content: '' } },
  debugPrompt: rendered,
})

const generateDialect = (raw: boolean, rendered: string): Dialect => ({
  said: (response, thinking) => ({ response, ...(thinking === '' ? {} : { thinking }) }),
  closing: raw ? {} : { context: [1, 2, 3, 4, 5, 6] },
  silent: { response: '' },
  debugPrompt: rendered,
})

/** Everything of a task that both routes read in the same way; null when the call was refused. */
const readTask = (
  stage: Stage,
  call: Call,
  model: InstalledModel,
  request: Bag,
  own: { verb: 'chat' | 'generate'; prompt: string; needs: Capability[]; loadOnly: boolean },
): Task | null => {
  const asked = text(request.model)
  const thinkOn = request.think !== undefined && request.think !== null && request.think !== false
  const needs = thinkOn ? [...own.needs, 'thinking' as const] : own.needs
  const problem = capabilityProblem(model, asked, own.verb, needs)
  if (problem !== null) {
    refuse(stage, call, 400, problem)
    return null
  }
  const shift = typeof request.shift === 'boolean' ? request.shift : undefined
  const read = readOptions(model, bag(request.options), shift)
  if (read.kind === 'bad') {
    refuse(stage, call, 500, read.text)
    return null
  }
  return {
    model,
    options: read.options,
    numPredict: read.numPredict,
    keepAliveMs: keepAliveMs(request.keep_alive),
    prompt: own.prompt,
    before: saidBefore(bags(request.messages)),
    thinks: request.think !== false && model.capabilities.includes('thinking'),
    tool: toolCall(stage, model, request.tools, own.prompt),
    format: request.format,
    toolResult: toolResult(bags(request.messages)),
    streaming: request.stream !== false,
    loadOnly: own.loadOnly,
    debugRender: request._debug_render_only === true,
    lateError: formatProblem(request.format),
  }
}

const isUnload = (request: Bag, isEmpty: boolean): boolean => isEmpty && keepAliveMs(request.keep_alive) === 0

const sendUnloaded = (stage: Stage, { exchange }: Call, model: InstalledModel, asked: string, dialect: Dialect) => {
  stage.scheduler.expire(model)
  const line = { ...lineHead(stage, model, asked), ...dialect.said('', '', null), done: true, done_reason: 'unload' }
  exchange.send(200, [JSON_UTF8], goJson(line))
}

const badTopLogprobs = (request: Bag): boolean =>
  typeof request.top_logprobs === 'number' && (request.top_logprobs < 0 || request.top_logprobs > 20)

/** POST /api/chat */
export const chat: Handler = (stage, call) => {
  const request = decodeOrRefuse(stage, call, call.exchange.request.body, goStructs['/api/chat'])
  if (!request) return
  if (badTopLogprobs(request)) return refuse(stage, call, 400, 'top_logprobs must be between 0 and 20')
  const asked = text(request.model)
  const model = modelOrRefuse(stage, call, asked, chatNames)
  if (!model) return
  const messages = bags(request.messages)
  const rendered = messages.map(({ role, content }) => `${text(role)}: ${text(content)}\n`).join('')
  const dialect = chatDialect(`${rendered}assistant:`)
  if (isUnload(request, messages.length === 0)) return sendUnloaded(stage, call, model, asked, dialect)
  const needs: Capability[] = bags(request.tools).length > 0 ? ['tools'] : []
  const prompt = lastUserText(messages, ({ content }) => text(content))
  const task = readTask(stage, call, model, request, { verb: 'chat', prompt, needs, loadOnly: messages.length === 0 })
  if (task) return generate(stage, call, task, nativeVoice(stage, task, asked, request, dialect))
}

const hasImages = (request: Bag): boolean => Array.isArray(request.images) && request.images.length > 0

/** POST /api/generate */
export const generateRoute: Handler = (stage, call) => {
  const request = decodeOrRefuse(stage, call, call.exchange.request.body, goStructs['/api/generate'])
  if (!request) return
  if (badTopLogprobs(request)) return refuse(stage, call, 400, 'top_logprobs must be between 0 and 20')
  const asked = text(request.model)
  const model = modelOrRefuse(stage, call, asked, generateNames)
  if (!model) return
  const prompt = text(request.prompt)
  const raw = request.raw === true
  const dialect = generateDialect(raw, `user: ${prompt}\nassistant:`)
  if (isUnload(request, prompt === '')) return sendUnloaded(stage, call, model, asked, dialect)
  const hasContext = Array.isArray(request.context) && request.context.length > 0
  if (raw && (text(request.template) !== '' || text(request.system) !== '' || hasContext))
    return refuse(stage, call, 400, 'raw mode does not support template, system, or context')
  const needs: Capability[] = text(request.suffix) === '' ? [] : ['insert']
  if (hasImages(request)) needs.push('vision')
  const task = readTask(stage, call, model, request, { verb: 'generate', prompt, needs, loadOnly: prompt === '' })
  if (task) return generate(stage, call, task, nativeVoice(stage, task, asked, request, dialect))
}
