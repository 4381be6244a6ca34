/** /v1/chat/completions and /v1/completions, with the losses of the real compatibility layer; it must never report a mid-stream error. */

import { lastUserText } from './ability.ts'
import { EVENTS, goJson, JSON_PLAIN } from './answer.ts'
import { generate } from './generation.ts'
import { goStructs } from './go-schema.ts'
import { decodeV1, refuseEarly, v1Task } from './openai-body.ts'
import { type Bag, bag, bags, contentText, text } from './request-body.ts'
import { type Call, generateNames, type Handler, type Stage } from './stage.ts'
import type { Metrics, Result, Task, ToolCall, Voice } from './voice.ts'

const FINGERPRINT = 'fp_ollama'

const event = (value: unknown) => `data: ${goJson(value)}\n\n`

const usageOf = ({ prompt_eval_count, eval_count }: Metrics) => ({
  prompt_tokens: prompt_eval_count,
  completion_tokens: eval_count,
  total_tokens: prompt_eval_count + eval_count,
})

const toolCalls = (tool: ToolCall) => [
  {
    id: tool.id,
    index: 0,
    type: 'function',
    function: { name: tool.name, arguments: JSON.stringify(tool.arguments) },
  },
]

const finishReason = (result: Result) => (result.tool ? 'tool_calls' : result.reason)
const noUsage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
const wantsUsage = (request: Bag) => bag(request.stream_options).include_usage === true

interface Stamp {
  readonly id: string
  readonly created: number
}

const stampOf = (stage: Stage, prefix: string): Stamp => ({
  id: `${prefix}-${stage.pulse.random(999)}`,
  created: Math.floor(stage.pulse.now() / 1000),
})

const chatVoice = (task: Task, asked: string, request: Bag, { id, created }: Stamp): Voice => {
  const head = (object: string, model = asked) => ({ id, object, created, model, system_fingerprint: FINGERPRINT })
  const inFinal = task.model.spec.nativeTemplate === true
  let begun = false
  const chunk = (delta: object, reason: string | null = null, model = asked) => {
    const role = begun || reason !== null ? {} : { role: 'assistant' }
    begun = true
    const choices = [{ index: 0, delta: { ...role, ...delta }, finish_reason: reason }]
    return event({ ...head('chat.completion.chunk', model), choices })
  }
  return {
    streamHeaders: [EVENTS],
    wholeHeaders: [JSON_PLAIN],
    piece(piece) {
      if (piece.kind === 'tool') {
        return inFinal || !task.tool ? [] : [chunk({ content: '', tool_calls: toolCalls(task.tool) })]
      }
      return [chunk(piece.kind === 'thinking' ? { content: '', reasoning: piece.text } : { content: piece.text })]
    },
    finish(result) {
      const tool = inFinal && result.tool ? chunk({ content: '', tool_calls: toolCalls(result.tool) }) : ''
      const usage = wantsUsage(request)
        ? event({ ...head('chat.completion.chunk'), choices: [], usage: usageOf(result.metrics) })
        : ''
      return [`${tool}${chunk({}, finishReason(result))}${usage}data: [DONE]\n\n`]
    },
    breakOff: () => [chunk({ content: '' }, null, '')],
    whole(result) {
      const message = {
        role: 'assistant',
        content: result.text,
        ...(result.thinking === '' ? {} : { reasoning: result.thinking }),
        ...(result.tool ? { tool_calls: toolCalls(result.tool) } : {}),
      }
      const choices = [{ index: 0, message, finish_reason: finishReason(result) }]
      const usage = result.reason === null ? noUsage : usageOf(result.metrics)
      return `${goJson({ ...head('chat.completion'), choices, usage })}\n`
    },
    loaded: () => '',
    debug() {
      const choices = [{ index: 0, message: { role: '', content: '' }, finish_reason: null }]
      const _debug_info = { rendered_template: `user: ${task.prompt}\nassistant:` }
      return `${goJson({ ...head('chat.completion'), choices, usage: noUsage, _debug_info })}\n`
    },
  }
}

const hasRemoteImage = (messages: readonly Bag[]): boolean =>
  messages.some(({ content }) =>
    bags(content).some(({ image_url: image }) =>
      /^https?:/.test(typeof image === 'string' ? image : text(bag(image).url)),
    ),
  )

const thinkOf = (request: Bag): boolean | null => {
  const effort = text(request.reasoning_effort) || text(bag(request.reasoning).effort)
  return effort === '' ? null : effort !== 'none'
}

/** POST /v1/chat/completions */
export const chatCompletions: Handler = (stage, call) => {
  const request = decodeV1(stage, call, goStructs['/v1/chat/completions'])
  if (!request) return
  const messages = bags(request.messages)
  if (messages.length === 0) return refuseEarly(stage, call, "[] is too short - 'messages'")
  if (hasRemoteImage(messages))
    return refuseEarly(stage, call, 'image URLs are not currently supported, please use base64 encoded data instead')
  const prompt = lastUserText(messages, ({ content }) => contentText(content))
  const task = v1Task(stage, call, { request, prompt, numPredict: request.max_tokens, think: thinkOf(request) })
  if (task)
    return generate(stage, call, task, chatVoice(task, text(request.model), request, stampOf(stage, 'chatcmpl')))
}

const completionVoice = (asked: string, request: Bag, { id, created }: Stamp): Voice => {
  const chunk = (said: string, reason: string | null, model = asked) => ({
    id,
    object: 'text_completion',
    created,
    choices: [{ text: said, index: 0, finish_reason: reason }],
    model,
    system_fingerprint: FINGERPRINT,
  })
  return {
    streamHeaders: [EVENTS],
    wholeHeaders: [JSON_PLAIN],
    piece: (piece) => [event(chunk(piece.kind === 'text' ? piece.text : '', null))],
    finish(result) {
      const usage = wantsUsage(request)
        ? event({ ...chunk('', null), choices: [], usage: usageOf(result.metrics) })
        : ''
      return [`${event(chunk('', result.reason))}${usage}data: [DONE]\n\n`]
    },
    breakOff: () => [event(chunk('', null, ''))],
    whole(result) {
      const choices = [{ text: result.text, index: 0, finish_reason: result.reason }]
      const usage = result.reason === null ? noUsage : usageOf(result.metrics)
      const head = { id, object: 'text_completion', created, model: asked, system_fingerprint: FINGERPRINT }
      return `${goJson({ ...head, choices, usage })}\n`
    },
    loaded: () => '',
    debug: () => `${goJson(chunk('', null))}\n`,
  }
}

/** POST /v1/completions */
export const completions: Handler = (stage: Stage, call: Call) => {
  const request = decodeV1(stage, call, goStructs['/v1/completions'])
  if (!request) return
  const task = v1Task(stage, call, {
    request,
    prompt: text(request.prompt),
    numPredict: request.max_tokens,
    think: null,
    verb: 'generate',
    names: generateNames,
    needs: text(request.suffix) === '' ? [] : ['insert'],
  })
  if (task) return generate(stage, call, task, completionVoice(text(request.model), request, stampOf(stage, 'cmpl')))
}
