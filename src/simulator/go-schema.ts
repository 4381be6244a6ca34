/** The request types of Ollama's handlers, as far as their JSON types can be wrong; it must never hold behaviour. */

/** What Go expects of a JSON value. `any` takes everything; the named ones have decoders of their own. */
export type GoType =
  | 'string'
  | 'bool'
  | 'int'
  | 'float64'
  | 'any'
  | 'map[string]interface {}'
  | 'think'
  | 'duration'
  | { readonly list: GoType; readonly go: string }
  | { readonly fields: Fields; readonly go: string }

export type Fields = Readonly<Record<string, GoType>>

/** A request type: its Go name with package, and its fields. */
export interface GoStruct {
  readonly go: string
  readonly fields: Fields
}

const OPTIONS = 'map[string]interface {}'
const images: GoType = { list: 'string', go: '[]api.ImageData' }

const message: GoType = {
  go: 'api.Message',
  fields: {
    role: 'string',
    content: 'string',
    thinking: 'string',
    images,
    tool_name: 'string',
    tool_call_id: 'string',
  },
}

const tool: GoType = { go: 'api.Tool', fields: { type: 'string' } }

const sampled: Fields = {
  model: 'string',
  stream: 'bool',
  format: 'any',
  keep_alive: 'duration',
  options: OPTIONS,
  think: 'think',
  truncate: 'bool',
  shift: 'bool',
  logprobs: 'bool',
  top_logprobs: 'int',
  _debug_render_only: 'bool',
}

const named: Fields = { model: 'string', name: 'string', stream: 'bool', insecure: 'bool' }

const openaiSampled: Fields = {
  model: 'string',
  stream: 'bool',
  stream_options: { go: 'openai.StreamOptions', fields: { include_usage: 'bool' } },
  max_tokens: 'int',
  seed: 'int',
  stop: 'any',
  temperature: 'float64',
  top_p: 'float64',
  frequency_penalty: 'float64',
  presence_penalty: 'float64',
  _debug_render_only: 'bool',
}

const openaiMessages: GoType = {
  list: { go: 'openai.Message', fields: { role: 'string', name: 'string' } },
  go: '[]openai.Message',
}

const struct = (go: string, fields: Fields): GoStruct => ({ go, fields })

/** By the path of the route. */
export const goStructs = {
  '/api/chat': struct('api.ChatRequest', {
    ...sampled,
    messages: { list: message, go: '[]api.Message' },
    tools: { list: tool, go: 'api.Tools' },
  }),
  '/api/generate': struct('api.GenerateRequest', {
    ...sampled,
    prompt: 'string',
    suffix: 'string',
    system: 'string',
    template: 'string',
    context: { list: 'int', go: '[]int' },
    raw: 'bool',
    images,
  }),
  '/api/embed': struct('api.EmbedRequest', {
    model: 'string',
    input: 'any',
    keep_alive: 'duration',
    truncate: 'bool',
    dimensions: 'int',
    options: OPTIONS,
  }),
  '/api/embeddings': struct('api.EmbeddingRequest', {
    model: 'string',
    prompt: 'string',
    keep_alive: 'duration',
    options: OPTIONS,
  }),
  '/api/show': struct('api.ShowRequest', { ...named, system: 'string', template: 'string', verbose: 'bool' }),
  '/api/pull': struct('api.PullRequest', named),
  '/api/push': struct('api.PushRequest', named),
  '/api/create': struct('api.CreateRequest', {
    ...named,
    from: 'string',
    quantize: 'string',
    template: 'string',
    system: 'string',
    files: 'any',
    parameters: OPTIONS,
  }),
  '/api/copy': struct('api.CopyRequest', { source: 'string', destination: 'string' }),
  '/api/delete': struct('api.DeleteRequest', named),
  '/v1/chat/completions': struct('openai.ChatCompletionRequest', {
    ...openaiSampled,
    messages: openaiMessages,
    response_format: 'any',
    reasoning_effort: 'string',
    logprobs: 'bool',
    top_logprobs: 'int',
    tools: { list: tool, go: '[]api.Tool' },
  }),
  '/v1/completions': struct('openai.CompletionRequest', { ...openaiSampled, prompt: 'string', suffix: 'string' }),
  '/v1/embeddings': struct('openai.EmbedRequest', {
    model: 'string',
    input: 'any',
    dimensions: 'int',
    encoding_format: 'string',
  }),
  '/v1/responses': struct('openai.ResponsesRequest', {
    model: 'string',
    input: 'any',
    instructions: 'string',
    stream: 'bool',
    max_output_tokens: 'int',
    temperature: 'float64',
    top_p: 'float64',
    tools: 'any',
  }),
  '/v1/messages': struct('anthropic.MessagesRequest', {
    model: 'string',
    max_tokens: 'int',
    messages: { list: { go: 'anthropic.MessageParam', fields: { role: 'string' } }, go: '[]anthropic.MessageParam' },
    system: 'any',
    stream: 'bool',
    temperature: 'float64',
    tools: 'any',
    thinking: 'any',
  }),
} as const satisfies Record<string, GoStruct>
