/** A10: which failures with a 500 another run cannot mend, in the words of Ollama and of its runners. */
import { describe, expect, test } from 'bun:test'
import { isRequestFault } from '../../../src/domain/wire/request-fault.ts'

/** As Ollama hands a failure of its runner on: the runner's body is the text. */
const ofRunner = (message: string, type = 'server_error', code = 500) =>
  JSON.stringify({ error: { code, message, type } })

const alternate = 'After the optional system message, conversation roles must alternate user and assistant roles'
const jinja = `\n------------\nWhile executing CallExpression at line 189, column 32 in source:\n...== 0) %}↵            {{- raise_exception('After the optional...\n                                           ^\nError: Jinja Exception: ${alternate} except for tool calls and results.`

describe('is the fault of the request', () => {
  test.each([
    'invalid format: "xml"; expected "json" or a valid JSON Schema object',
    'invalid JSON schema in format',
    'option "num_ctx" must be of type integer',
    'option "stop" must be of an array of strings',
    'json: cannot unmarshal string into Go value of type map[string]interface {}',
    'time: missing unit in duration "-1"',
    'template: :1: unexpected "}" in operand',
    'template: :3:20: executing "" at <index .Messages 9>: error calling index: index out of range: 9',
    'this model only supports one image while more than one image requested',
    'decode WebP image: riff: invalid format',
    'failed to marshal tool call arguments for "f": json: unsupported value: NaN',
    'system message cannot contain images',
    'no user query found in messages',
    'unsupported Qwen3.8 reasoning effort "max"',
    'Failed to create new sequence: failed to process inputs: this model is missing data required for image input',
    'Failed to create new sequence: unable to create sampling context\n',
    'this model does not support embeddings',
    'Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...',
    ofRunner(jinja),
    ofRunner(
      '\n------------\nWhile executing FilterExpression at line 4, column 9 in source:\n...x | y...\nError: Unknown filter',
    ),
    ofRunner('Value is not callable: null at row 1, column 72:\n{{ x() }}'),
    ofRunner('image input is not supported - hint: if this is unexpected, you may need to provide the mmproj'),
    ofRunner('Failed to load image or audio file'),
    ofRunner('Cannot have 2 or more assistant messages at the end of the list.'),
    ofRunner('Cannot continue an assistant message that contains tool calls'),
    ofRunner('Assistant response prefill is incompatible with enable_thinking.'),
    ofRunner('Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] parse error'),
    ofRunner('JSON schema conversion failed:\nUnrecognized schema: {"type":"","properties":null}'),
    ofRunner('Unable to generate parser for this template. Automatic parser generation failed: x'),
    ofRunner('"json_schema": Error resolving ref #/$defs/x: not in {}'),
    ofRunner('Failed to initialize samplers: failed to parse grammar'),
    ofRunner('input (1682 tokens) is too large to process. increase the physical batch size (current batch size: 512)'),
    ofRunner('This server does not support embeddings. Start it with `--embeddings`', 'not_supported_error', 501),
    ofRunner('the request exceeds the available context size, try increasing it', 'exceed_context_size_error', 400),
    ofRunner('words nobody has seen yet', 'invalid_request_error', 400),
    `llama-server apply-template error: ${ofRunner(jinja)}`,
  ])('%j', (message) => {
    expect(isRequestFault(message)).toBe(true)
  })
})

describe('may be mended by another run', () => {
  test.each([
    '',
    'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details: Jinja Exception: x',
    'llama-server process has terminated: exit status 1: error loading model: invalid format: x',
    'llama-server process no longer running: 1 failed to parse grammar',
    'an error was encountered while running the model: option "x" must be y',
    'an error was encountered while running the model: error: fake crash mid stream',
    'unexpected server status: llm server error',
    'error reading llama-server response: json: bad',
    'no slots available after 10 retries',
    'cudaMalloc failed: out of memory',
    'model requires more system memory (9 GiB) than is available (4 GiB)',
    'empty Glimmer function name',
    'failed to parse JSON: invalid character',
    ofRunner('fake error', 'x'),
    ofRunner('Context size has been exceeded.'),
    ofRunner('Invalid input batch.'),
    `${ofRunner('Failed to load image or audio file')}\nCUDA error: out of memory`,
    'words of a version to come',
  ])('%j', (message) => {
    expect(isRequestFault(message)).toBe(false)
  })
})
