/** Modelfiles as Ollama's own command reads them. */
import { expect, test } from 'bun:test'
import { createRequest, parseModelfile } from '../../../src/domain/models/modelfile.ts'
import { readAllWanted } from '../../../src/domain/models/wanted.ts'

const read = (text: string) => {
  const parsed = parseModelfile(text)
  if (parsed.kind === 'bad') throw new Error(parsed.problem)
  return parsed.modelfile
}
const problem = (text: string) => {
  const parsed = parseModelfile(text)
  return parsed.kind === 'bad' ? parsed.problem : ''
}
const noFiles = { from: null, adapter: null, draft: null }

test('every command, quotes over several lines, comments, any case, a BOM and Windows line ends', () => {
  const text = [
    '\ufeff# a model of mine',
    'from llama3.2',
    'PARAMETER temperature 0.5',
    'parameter num_ctx 4096',
    'PARAMETER stop "<|im_end|>"',
    'PARAMETER stop User:',
    'PARAMETER use_mmap false',
    'PARAMETER mirostat 1',
    'SYSTEM """You are "terse".',
    '# and this is no comment',
    '"""',
    'TEMPLATE "{{ .Prompt }}"',
    'LICENSE MIT',
    'LICENSE "Apache 2"',
    'MESSAGE user Hello there',
    'MESSAGE assistant """Hi."""',
    'REQUIRES 0.14.0',
    '',
  ].join('\r\n')
  const modelfile = read(text)
  expect(createRequest('mine', modelfile, noFiles)).toEqual({
    model: 'mine',
    stream: true,
    from: 'llama3.2',
    system: 'You are "terse".\n# and this is no comment\n',
    template: '{{ .Prompt }}',
    requires: '0.14.0',
    license: ['MIT', 'Apache 2'],
    messages: [
      { role: 'user', content: 'Hello there' },
      { role: 'assistant', content: 'Hi.' },
    ],
    parameters: { temperature: 0.5, num_ctx: 4096, use_mmap: false, stop: ['<|im_end|>', 'User:'] },
  })
})

test('files take the place of a name', () => {
  const modelfile = read('FROM ./weights.gguf\nADAPTER lora.gguf')
  const files = { from: { 'weights.gguf': 'sha256:a' }, adapter: { 'lora.gguf': 'sha256:b' }, draft: null }
  expect(createRequest('m', modelfile, files)).toEqual({
    model: 'm',
    stream: true,
    files: { 'weights.gguf': 'sha256:a' },
    adapters: { 'lora.gguf': 'sha256:b' },
  })
})

test.each([
  ['', 'there is no FROM'],
  ['SYSTEM hi', 'there is no FROM'],
  ['FROM a\nTEMPLAT x', 'line 2: a command must be one of FROM'],
  ['FROM a\nSYSTEM """never\nclosed', 'a quote is never closed'],
  ['FROM a\nPARAMETER top_k many', 'line 2: PARAMETER top_k is "many": expected a whole number'],
  ['FROM a\nPARAMETER colour red', 'line 2: there is no parameter colour'],
  ['FROM a\nPARAMETER temperature', 'line 2: PARAMETER needs a name and a value'],
  ['FROM a\nMESSAGE tool hi', 'line 2: the role of a MESSAGE'],
])('%j is refused: %s', (text, words) => {
  expect(problem(text)).toContain(words)
})

test('a list of models: names, names with Modelfiles, each once', () => {
  expect(readAllWanted('qwen3:14b, mine=./mine.Modelfile,')).toEqual({
    kind: 'ok',
    value: [
      { model: 'qwen3:14b', modelfile: null },
      { model: 'mine', modelfile: './mine.Modelfile' },
    ],
  })
  for (const bad of ['a b', 'mine=', 'a,a:latest', 'x:cloud=./f']) expect(readAllWanted(bad).kind).toBe('bad')
})
