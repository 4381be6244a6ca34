/** /v1/responses: OpenAI's typed events over the simulated model; it must never send an error inside a stream, because Ollama does not. */

import { lastUserText } from './ability.ts'
import { EVENTS, goJson, JSON_PLAIN, NO_CACHE } from './answer.ts'
import { generate } from './generation.ts'
import { goStructs } from './go-schema.ts'
import { decodeV1, v1Task } from './openai-body.ts'
import { type Bag, bag, bags, contentText, text } from './request-body.ts'
import type { Handler, Stage } from './stage.ts'
import type { Result, Task, ToolCall, Voice } from './voice.ts'

/** Ollama builds its events from Go maps, whose keys come out sorted. */
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]))
}

const usageOf = ({ metrics }: Result) => ({
  input_tokens: metrics.prompt_eval_count,
  output_tokens: metrics.eval_count,
  total_tokens: metrics.prompt_eval_count + metrics.eval_count,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens_details: { reasoning_tokens: 0 },
})

interface Envelope {
  readonly id: string
  readonly createdAt: number
  readonly asked: string
  readonly request: Bag
}

/** The response object; `result` null while it is in progress. */
const envelope = (
  { id, createdAt, asked, request }: Envelope,
  completedAt: number | null,
  output: unknown[],
  usage: unknown,
) => ({
  id,
  object: 'response',
  created_at: createdAt,
  completed_at: completedAt,
  status: completedAt === null ? 'in_progress' : 'completed',
  incomplete_details: null,
  model: asked,
  previous_response_id: null,
  instructions: request.instructions ?? null,
  output,
  error: null,
  tools: request.tools ?? [],
  tool_choice: 'auto',
  truncation: 'disabled',
  parallel_tool_calls: true,
  text: { format: { type: 'text' } },
  top_p: request.top_p ?? 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  top_logprobs: 0,
  temperature: request.temperature ?? 1,
  reasoning: request.reasoning ?? null,
  usage,
  max_output_tokens: request.max_output_tokens ?? null,
  max_tool_calls: null,
  store: false,
  background: false,
  service_tier: 'default',
  metadata: {},
  safety_identifier: null,
  prompt_cache_key: null,
})

const outputText = (said: string) => ({ type: 'output_text', text: said, annotations: [], logprobs: [] })

const messageItem = (id: string, status: string, content: unknown[]) => ({
  id,
  type: 'message',
  status,
  role: 'assistant',
  content,
})

const functionItem = (tool: ToolCall, status: string, args: string) => ({
  id: `fc_${tool.id}`,
  type: 'function_call',
  status,
  call_id: tool.id,
  name: tool.name,
  arguments: args,
})

const reasoningItem = (id: string, summary: string) => ({
  id: `rs_${id}`,
  type: 'reasoning',
  summary: summary === '' ? [] : [{ type: 'summary_text', text: summary }],
})

/** The finished items of a result, in the order they were said. */
const itemsOf = ({ text: said, thinking, tool }: Result, messageId: string): unknown[] => [
  ...(thinking === '' ? [] : [reasoningItem(messageId, thinking)]),
  ...(said === '' && tool ? [] : [messageItem(messageId, 'completed', [outputText(said)])]),
  ...(tool ? [functionItem(tool, 'completed', JSON.stringify(tool.arguments))] : []),
]

type Event = readonly [type: string, body: object]

/** More of a text or of a thought. */
const deltaOf = (kind: 'text' | 'thinking', messageId: string, index: number, delta: string): Event =>
  kind === 'text'
    ? ['response.output_text.delta', { item_id: messageId, output_index: index, content_index: 0, delta, logprobs: [] }]
    : [
        'response.reasoning_summary_text.delta',
        { item_id: `rs_${messageId}`, output_index: index, summary_index: 0, delta },
      ]

/** The events of one stream, numbered. */
const createEvents = (messageId: string) => {
  let sequence = 0
  let index = 0
  let open: { kind: 'text' | 'thinking'; said: string } | null = null

  const emit = (type: string, body: object): string =>
    `event: ${type}\ndata: ${goJson(sorted({ ...body, type, sequence_number: sequence++ }))}\n\n`
  const item = (step: 'added' | 'done', value: unknown) =>
    emit(`response.output_item.${step}`, { item: value, output_index: index })

  const openText = () => [
    item('added', messageItem(messageId, 'in_progress', [])),
    emit('response.content_part.added', {
      item_id: messageId,
      output_index: index,
      content_index: 0,
      part: outputText(''),
    }),
  ]
  const closeText = (said: string) => {
    const place = { item_id: messageId, output_index: index, content_index: 0 }
    return [
      emit('response.output_text.done', { ...place, text: said, logprobs: [] }),
      emit('response.content_part.done', { ...place, part: outputText(said) }),
      item('done', messageItem(messageId, 'completed', [outputText(said)])),
    ]
  }
  const close = (): string[] => {
    if (!open) return []
    const { kind, said } = open
    const place = { item_id: `rs_${messageId}`, output_index: index, summary_index: 0 }
    const events =
      kind === 'text'
        ? closeText(said)
        : [
            emit('response.reasoning_summary_text.done', { ...place, text: said }),
            item('done', reasoningItem(messageId, said)),
          ]
    open = null
    index++
    return events
  }
  return {
    emit,
    close,
    say(kind: 'text' | 'thinking', said: string): string[] {
      const before = open?.kind === kind ? [] : close()
      const opened = open ? [] : kind === 'text' ? openText() : [item('added', reasoningItem(messageId, ''))]
      open = { kind, said: (open?.said ?? '') + said }
      return [...before, ...opened, emit(...deltaOf(kind, messageId, index, said))]
    },
    call(tool: ToolCall): string[] {
      const args = JSON.stringify(tool.arguments)
      const place = () => ({ item_id: `fc_${tool.id}`, output_index: index })
      const events = [
        ...close(),
        item('added', functionItem(tool, 'in_progress', '')),
        emit('response.function_call_arguments.delta', { ...place(), delta: args }),
        emit('response.function_call_arguments.done', { ...place(), arguments: args }),
        item('done', functionItem(tool, 'completed', args)),
      ]
      index++
      return events
    },
  }
}

const responsesVoice = (stage: Stage, task: Task, request: Bag): Voice => {
  const seconds = () => Math.floor(stage.pulse.now() / 1000)
  const sixDigits = () => 100_000 + stage.pulse.random(900_000)
  const envelopeOf: Envelope = { id: `resp_${sixDigits()}`, createdAt: seconds(), asked: text(request.model), request }
  const messageId = `msg_${sixDigits()}`
  const inFinal = task.model.spec.nativeTemplate === true
  const events = createEvents(messageId)
  let begun = false
  const begin = (): string[] => {
    if (begun) return []
    begun = true
    const response = envelope(envelopeOf, null, [], null)
    return [events.emit('response.created', { response }), events.emit('response.in_progress', { response })]
  }
  return {
    streamHeaders: [...NO_CACHE, EVENTS],
    wholeHeaders: [JSON_PLAIN],
    piece(piece) {
      if (piece.kind !== 'tool') return [...begin(), ...events.say(piece.kind, piece.text)]
      return inFinal || !task.tool ? [] : [...begin(), ...events.call(task.tool)]
    },
    finish(result) {
      const last = inFinal && result.tool ? events.call(result.tool) : events.close()
      const response = envelope(envelopeOf, seconds(), itemsOf(result, messageId), usageOf(result))
      return [...begin(), ...last, events.emit('response.completed', { response })]
    },
    breakOff: () => [],
    whole: (result) => `${goJson(envelope(envelopeOf, seconds(), itemsOf(result, messageId), usageOf(result)))}\n`,
    loaded: () => '',
    debug: () => `${goJson(envelope(envelopeOf, null, [], null))}\n`,
  }
}

/** POST /v1/responses */
export const responsesRoute: Handler = (stage, call) => {
  const request = decodeV1(stage, call, goStructs['/v1/responses'])
  if (!request) return
  const prompt =
    typeof request.input === 'string'
      ? request.input
      : lastUserText(bags(request.input), ({ content }) => contentText(content))
  const effort = text(bag(request.reasoning).effort)
  const think = effort === '' ? null : effort !== 'none'
  const task = v1Task(stage, call, { request, prompt, numPredict: request.max_output_tokens, think })
  if (task) return generate(stage, call, task, responsesVoice(stage, task, request))
}
