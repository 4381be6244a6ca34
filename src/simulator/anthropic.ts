/** /v1/messages: Anthropic's events over the simulated model; it must never send an error inside a stream, because Ollama does not. */

import { lastUserText } from './ability.ts'
import { EVENTS, goJson, JSON_PLAIN, NO_CACHE } from './answer.ts'
import { generate } from './generation.ts'
import { goStructs } from './go-schema.ts'
import { decodeV1, refuseEarly, v1Task } from './openai-body.ts'
import { type Bag, bag, bags, contentText, text } from './request-body.ts'
import type { Handler } from './stage.ts'
import type { Result, Task, ToolCall, Voice } from './voice.ts'

const event = (value: { type: string }) => `event: ${value.type}\ndata: ${goJson(value)}\n\n`

/** Ollama's guess before the model has counted: a quarter of the characters, roles included. */
const guessTokens = (request: Bag): number => {
  const messages = bags(request.messages)
  const characters = messages.reduce(
    (sum, { role, content }) => sum + text(role).length + contentText(content).length,
    0,
  )
  return Math.max(1, Math.floor((characters + contentText(request.system).length) / 4))
}

const stopReason = ({ tool, reason }: Result) => (tool ? 'tool_use' : reason === 'length' ? 'max_tokens' : 'end_turn')

const usageOf = ({ metrics }: Result) => ({
  input_tokens: metrics.prompt_eval_count,
  output_tokens: metrics.eval_count,
})

const toolUse = ({ id, name }: ToolCall, input: Bag) => ({ type: 'tool_use', id, name, input })

/** Content blocks in a stream: one is open at a time. */
const createBlocks = () => {
  let index = 0
  let open: 'text' | 'thinking' | null = null
  const start = (block: object) => event({ type: 'content_block_start', ...{ index, content_block: block } })
  const delta = (body: object) => event({ type: 'content_block_delta', ...{ index, delta: body } })
  const close = (): string[] => {
    if (open === null) return []
    open = null
    return [event({ type: 'content_block_stop', ...{ index: index++ } })]
  }
  return {
    close,
    say(kind: 'text' | 'thinking', said: string): string[] {
      const before = open === kind ? [] : [...close(), start({ type: kind, [kind]: '' })]
      open = kind
      return [...before, delta({ type: `${kind}_delta`, [kind]: said })]
    },
    call(tool: ToolCall): string[] {
      const events = [
        ...close(),
        start(toolUse(tool, {})),
        delta({ type: 'input_json_delta', partial_json: JSON.stringify(tool.arguments) }),
      ]
      return [...events, event({ type: 'content_block_stop', ...{ index: index++ } })]
    },
  }
}

const contentOf = ({ text: said, thinking, tool }: Result): object[] => [
  ...(thinking === '' ? [] : [{ type: 'thinking', thinking }]),
  ...(said === '' ? [] : [{ type: 'text', text: said }]),
  ...(tool ? [toolUse(tool, tool.arguments)] : []),
]

const messagesVoice = (task: Task, asked: string, request: Bag, id: string): Voice => {
  const blocks = createBlocks()
  const inFinal = task.model.spec.nativeTemplate === true
  const head = { id, type: 'message', role: 'assistant', model: asked }
  let begun = false
  const begin = (): string[] => {
    if (begun) return []
    begun = true
    const usage = { input_tokens: guessTokens(request), output_tokens: 0 }
    return [event({ type: 'message_start', ...{ message: { ...head, content: [], usage } } })]
  }
  return {
    streamHeaders: [...NO_CACHE, EVENTS],
    wholeHeaders: [JSON_PLAIN],
    piece(piece) {
      if (piece.kind !== 'tool') return [...begin(), ...blocks.say(piece.kind, piece.text)]
      return inFinal || !task.tool ? [] : [...begin(), ...blocks.call(task.tool)]
    },
    finish(result) {
      const tool = inFinal && result.tool ? blocks.call(result.tool) : blocks.close()
      const delta = { type: 'message_delta', delta: { stop_reason: stopReason(result) }, usage: usageOf(result) }
      return [...begin(), ...tool, event(delta), event({ type: 'message_stop' })]
    },
    breakOff: () => [],
    whole: (result) =>
      `${goJson({ ...head, content: contentOf(result), stop_reason: stopReason(result), usage: usageOf(result) })}\n`,
    loaded: () => '',
    debug: () => `${goJson({ ...head, content: [], usage: { input_tokens: 0, output_tokens: 0 } })}\n`,
  }
}

/** POST /v1/messages */
export const messagesRoute: Handler = (stage, call) => {
  const request = decodeV1(stage, call, goStructs['/v1/messages'])
  if (!request) return
  if (text(request.model) === '') return refuseEarly(stage, call, 'model is required')
  if (typeof request.max_tokens !== 'number' || request.max_tokens <= 0)
    return refuseEarly(stage, call, 'max_tokens is required and must be positive')
  const messages = bags(request.messages)
  if (messages.length === 0) return refuseEarly(stage, call, 'messages is required')
  const prompt = lastUserText(messages, ({ content }) => contentText(content))
  const thinking = text(bag(request.thinking).type)
  const think = thinking === '' ? null : thinking !== 'disabled'
  const task = v1Task(stage, call, { request, prompt, numPredict: request.max_tokens, think })
  if (!task) return
  return generate(stage, call, task, messagesVoice(task, text(request.model), request, `msg_${stage.pulse.hex(24)}`))
}
