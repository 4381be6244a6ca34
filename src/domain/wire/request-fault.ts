/** Failures with a status of 500 that the request itself causes: another run cannot help (ADR 0019). What is not listed here is run again. */

/** Words and who says them; in the order of their way through Ollama. */
interface Known {
  readonly pattern: RegExp
  /** Where it was read, for whoever has to mend this list. */
  readonly by: string
}

/** Of Ollama's own server, as the whole error text. */
const ofOllama: readonly Known[] = [
  { pattern: /^json: /, by: 'encoding/json: a member of the wrong type' },
  { pattern: /^time: /, by: 'time.ParseDuration: a keep_alive that is none' },
  { pattern: /^option "[^"]*" must be (of|an) /, by: 'api/types.go: an option of the wrong type' },
  { pattern: /^invalid format: /, by: 'llm: a format that is neither "json" nor a schema' },
  { pattern: /^invalid JSON schema in format/, by: 'llm before 0.30: a schema without a grammar' },
  { pattern: /^template: /, by: 'text/template: the template, or messages that it does not take' },
  { pattern: /^this model only supports one image /, by: 'server/prompt.go: mllama with two images' },
  { pattern: /^'llama3\.2-vision' is no longer compatible /, by: 'server/routes.go: a model format of the past' },
  { pattern: /^(decode|encode) WebP image/, by: 'llm: an image that is none' },
  { pattern: /^failed to marshal tool call arguments /, by: 'llm: arguments of an earlier tool call' },
  {
    pattern: /^(system|developer|tool) message cannot contain images/,
    by: 'model/renderers: images in the wrong role',
  },
  { pattern: /^no (user query found in|messages provided)/, by: 'model/renderers: a conversation without a question' },
  { pattern: /^(invalid thinking value|unsupported .* reasoning effort) /, by: 'model/renderers: a level of think' },
  { pattern: /^unknown renderer "/, by: 'model/renderers: a model of a newer Ollama' },
  { pattern: /^failed to load model vocabulary required for format/, by: 'the runner before 0.30: a format' },
  {
    pattern:
      /^Failed to create new sequence: (failed to process inputs|no input provided|unable to create sampling context|entire prompt removed)/,
    by: 'the runner before 0.30: a prompt, an image or a grammar',
  },
  { pattern: /^this model does not support embeddings/, by: 'the runner before 0.30: embeddings of a chat model' },
]

/** Of llama-server, anywhere in the message that Ollama hands on. */
const ofRunner: readonly Known[] = [
  {
    pattern: /\bJinja Exception: /,
    by: 'raise_exception() of the chat template: roles that do not alternate and the like',
  },
  {
    pattern: /^\s*-*\s*While executing \w+ at line \d+, column \d+ in source/,
    by: 'a chat template that the messages break',
  },
  { pattern: / at row \d+, column \d+:/, by: 'the same before February 2026' },
  { pattern: /JSON schema conversion failed|^"json_schema": |Unrecognized schema: /, by: 'json-schema-to-grammar' },
  { pattern: /^Unable to generate parser for this template/, by: 'chat.cpp: tools that have no schema' },
  {
    pattern: /(failed to parse|error parsing) grammar|^Failed to initialize samplers/i,
    by: 'a format whose grammar is none',
  },
  { pattern: /^(image|audio|video) input is not supported - hint/, by: 'an image for a model without eyes' },
  { pattern: /^Failed to load image or audio file/, by: 'an image that is none' },
  {
    pattern: /^Cannot have 2 or more assistant messages|^Cannot continue an assistant message/,
    by: 'a prefilled answer',
  },
  { pattern: /^Assistant response prefill is incompatible/, by: 'a prefilled answer with think' },
  { pattern: /^Failed to parse (tool call|messages|tools|tool_choice)/, by: 'chat.cpp: a tool call that is no JSON' },
  { pattern: /^Cannot use custom grammar constraints with tools/, by: 'a format beside tools' },
  { pattern: /is too large to process\. increase the physical batch size/, by: 'an input longer than the batch' },
  {
    pattern: /exceeds? the available context size|larger than the max context size/,
    by: 'a prompt longer than the context',
  },
  {
    pattern: /^(This|this) (server|model) does not support /,
    by: 'embeddings, reranking or infill on a model without',
  },
]

const requestTypes: ReadonlySet<unknown> = new Set([
  'exceed_context_size_error',
  'invalid_request_error',
  'not_supported_error',
])

const died = /process has terminated|process no longer running|unexpectedly stopped/

/** llama-server's own error object, which Ollama hands on as text. One that a line about memory follows was not the request's fault. */
const runnerError = (message: string): { readonly type: unknown; readonly message: string } | null => {
  if (!message.startsWith('{')) return null
  try {
    const parsed: unknown = JSON.parse(message)
    if (typeof parsed !== 'object' || parsed === null || !('error' in parsed)) return null
    const { error } = parsed
    if (typeof error !== 'object' || error === null) return null
    const { type, message: words }: { type?: unknown; message?: unknown } = error
    return { type, message: typeof words === 'string' ? words : '' }
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

const prefixes =
  /^(llama-server (chat|template|apply-template) error: |an error was encountered while running the model: (?=\{))/

/** Whether an error says that the request itself is wrong, so that another run cannot help. */
export const isRequestFault = (message: string): boolean => {
  if (ofOllama.some(({ pattern }) => pattern.test(message))) return true
  // A runner that died may have said anything before.
  if (died.test(message)) return false
  const inner = message.replace(prefixes, '')
  const runner = runnerError(inner)
  if (runner !== null && requestTypes.has(runner.type)) return true
  const words = (runner?.message ?? inner).trim()
  return ofRunner.some(({ pattern }) => pattern.test(words))
}
