/** A stream's end is recognised in every flavour, in whatever pieces it comes, and by nothing that only looks like one. */
import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Flavour } from '../../../src/domain/wire/routes.ts'
import {
  createEndWatch,
  createStreamWatch,
  isStream,
  readWholeAnswer,
  streamErrorBytes,
} from '../../../src/domain/wire/stream-watch.ts'
import { seedOf } from '../../support/figures.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const NDJSON = 'application/x-ndjson'
const SSE = 'text/event-stream'

const typeOf = (flavour: Flavour) => (flavour === 'native' ? NDJSON : SSE)

const watched = (flavour: Flavour, pieces: readonly (string | Uint8Array)[], type = typeOf(flavour)) => {
  const watch = createStreamWatch(flavour, type)
  for (const piece of pieces) watch.push(typeof piece === 'string' ? bytes(piece) : piece)
  return { ...watch.state(), usage: watch.usage() }
}

const kindOf = (flavour: Flavour, text: string) => watched(flavour, [text]).kind

const nativePiece = '{"model":"m","message":{"role":"assistant","content":"tok0 é 😀"},"done":false}\n'
const nativeFinal =
  '{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":2000000,"prompt_eval_count":7,"eval_count":2}\n'
const usage = { promptTokens: 7, completionTokens: 2, totalDurationMs: 2 }

/** The streams of the OpenAI and Anthropic routes as a real Ollama sent them: events in a block, headers cut away. */
const captured = (): string[] => {
  const text = readFileSync(join(import.meta.dir, '../../fixtures/transcripts/compat.txt'), 'utf8').replaceAll(
    '\r\n',
    '\n',
  )
  const blocks = text.split(/^### /m).map((block) => block.split('\n').filter((line) => /^(data|event):/.test(line)))
  return blocks.filter((lines) => lines.length > 0).map((lines) => lines.map((line) => `${line}\n\n`).join(''))
}

describe('native', () => {
  test('ends with done:true and its counts', () => {
    expect(watched('native', [nativePiece, nativeFinal])).toEqual({ kind: 'final', usage })
  })

  test.each([
    ['nothing', ''],
    ['a chunk without text', '{"message":{"content":""},"done":false}\n'],
    ['a last line that was cut off', '{"message":{"content":"x"},"done":tr'],
    ['text and a last line that was cut off', `${nativePiece}{"message":{"content":"x"},"done":tr`],
  ])('stays open after %s', (_, text) => {
    expect(kindOf('native', text)).toBe('open')
  })

  test.each([
    ['a chunk that is not the last', nativePiece],
    [
      'done:true in the arguments of a tool',
      '{"message":{"tool_calls":[{"function":{"arguments":{"done":true}}}]},"done":false}\n',
    ],
    ['done:true in a string', '{"message":{"content":"{\\"done\\":true}"},"done":false}\n'],
    ['done:true in a nested string of a final-looking object', '{"response":"\\"done\\":true"}\n'],
    ['an error inside the text', '{"message":{"content":"{\\"error\\":\\"x\\"}"},"done":false}\n'],
  ])('is cut after %s', (_, text) => {
    expect(kindOf('native', text)).toBe('cut')
  })

  test.each([
    [
      'with tool calls in its last chunk',
      '{"message":{"tool_calls":[{"function":{"arguments":{"done":false}}}]},"done":true}\n',
    ],
    ['with spaces in its JSON', '{"done" : true}\n'],
    ['without a newline at the end', '{"done":true}'],
    ['with the debug rendering', '{"model":"m","_debug_info":{"rendered_template":"x"}}\n'],
    ['after white space', `   \n${nativeFinal}`],
  ])('is over %s', (_, text) => {
    expect(kindOf('native', text)).toBe('final')
  })

  test('text is seen wherever it stands among lines that came together', () => {
    const silent = '{"model":"m","message":{"role":"assistant","content":""},"done":false}\n'
    expect(kindOf('native', silent + nativePiece + silent)).toBe('cut')
    expect(kindOf('native', silent + silent + nativePiece)).toBe('cut')
    expect(watched('native', [silent + silent, silent]).kind).toBe('open')
    expect(watched('native', [nativePiece + silent, silent + nativeFinal])).toEqual({ kind: 'final', usage })
  })

  test('an error line ends it, and its client has seen it', () => {
    expect(watched('native', [nativePiece, '{"error":"cuda error"}\n'])).toMatchObject({
      kind: 'error',
      message: 'cuda error',
      told: true,
    })
    expect(kindOf('native', '{ "error": {"message":"x"} }\n')).toBe('error')
  })
})

describe('openai', () => {
  const chunk = 'data: {"id":"c","model":"m","choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'

  test('ends with [DONE], and a finish_reason alone is not enough', () => {
    const finish = 'data: {"model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    expect(kindOf('openai', chunk + finish)).toBe('open')
    expect(kindOf('openai', `${chunk}${finish}data: [DONE]\n\n`)).toBe('final')
    expect(kindOf('openai', 'data:[DONE]\n')).toBe('final')
  })

  test('counts tokens when the client asked for them', () => {
    const count =
      'data: {"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}\n\n'
    expect(watched('openai', [chunk, count, 'data: [DONE]\n\n']).usage).toEqual({
      promptTokens: 7,
      completionTokens: 1,
      totalDurationMs: null,
    })
  })

  test('the chunk without a model is a failure that its client cannot see', () => {
    const bogus = 'data: {"id":"c","model":"","choices":[{"delta":{"content":""},"finish_reason":null}]}\n\n'
    expect(watched('openai', [chunk, bogus])).toMatchObject({ kind: 'error', told: false })
    expect(watched('openai', [chunk, bogus, 'data: [DONE]\n\n']).kind).toBe('error')
  })

  test.each([
    [
      'an empty model in the arguments of a tool',
      '{"model":"m","choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\\"model\\":\\"\\"}"}}]}}]}',
    ],
    ['an empty model deeper down', '{"model":"m","meta":{"model":""}}'],
    ['[DONE] in the text', '{"model":"m","choices":[{"delta":{"content":"data: [DONE]"}}]}'],
  ])('%s means nothing', (_, data) => {
    expect(kindOf('openai', `data: ${data}\n\n`)).toBe('open')
  })

  test('an error object ends it, and its client understands it', () => {
    const error = 'data: {"error":{"message":"gone","type":"api_error"}}\n\n'
    expect(watched('openai', [chunk, error])).toMatchObject({ kind: 'error', message: 'gone', told: true })
  })

  test('comments and blank lines pass', () => {
    expect(kindOf('openai', ': ping\n\n\n\nevent: x\nid: 7\n\n')).toBe('open')
  })
})

describe('anthropic', () => {
  const delta =
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":7,"output_tokens":2}}\n\n'

  test('ends with message_stop and not before', () => {
    expect(watched('anthropic', [delta])).toMatchObject({
      kind: 'open',
      usage: { promptTokens: 7, completionTokens: 2 },
    })
    expect(kindOf('anthropic', `${delta}event: message_stop\ndata: {"type":"message_stop"}\n\n`)).toBe('final')
    const quoted = 'data: {"type":"content_block_delta","delta":{"text":"\\"type\\":\\"message_stop\\""}}\n\n'
    expect(kindOf('anthropic', quoted)).toBe('open')
    expect(
      kindOf('anthropic', 'data: {"type":"content_block_start","content_block":{"input":{"type":"message_stop"}}}\n\n'),
    ).toBe('open')
  })

  test('an error event ends it', () => {
    const error = 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"gone"}}\n\n'
    expect(watched('anthropic', [delta, error])).toMatchObject({ kind: 'error', message: 'gone', told: true })
  })
})

describe('responses', () => {
  test.each(['response.completed', 'response.failed', 'response.incomplete'])('ends with %s', (type) => {
    const event = `event: ${type}\ndata: {"response":{"usage":{"input_tokens":7,"output_tokens":1}},"type":"${type}"}\n\n`
    expect(watched('responses', [event])).toMatchObject({
      kind: 'final',
      usage: { promptTokens: 7, completionTokens: 1 },
    })
  })

  test('is open before that', () => {
    expect(kindOf('responses', 'data: {"delta":"response.completed","type":"response.output_text.delta"}\n\n')).toBe(
      'open',
    )
  })
})

test('a transcription calls itself NDJSON and has no final chunk: any line will do', () => {
  expect(watched('openai', ['{"text":"hello"}'], NDJSON).kind).toBe('final')
  expect(watched('openai', [], NDJSON).kind).toBe('open')
})

test('a real Ollama is understood: every recorded stream ends as it ended there', () => {
  const flavourOf = (text: string): Flavour =>
    text.includes('message_start') ? 'anthropic' : text.includes('"type":"response.') ? 'responses' : 'openai'
  const ends = captured().map((text) => `${flavourOf(text)} ${kindOf(flavourOf(text), text)}`)
  expect(ends).toContain('openai final')
  expect(ends).toContain('openai error')
  expect(ends).toContain('anthropic final')
  expect(ends).toContain('anthropic open')
  expect(ends).toContain('responses final')
  expect(ends).toContain('responses open')
})

test('where a stream is cut into pieces changes nothing, split UTF-8 included', () => {
  const seed = seedOf('pieces')
  const whole = bytes(nativePiece.repeat(3) + nativeFinal)
  const cuts = fc.array(fc.nat(whole.length), { maxLength: 30 })
  const same = fc.property(cuts, (at) => {
    const edges = [0, ...at.sort((a, b) => a - b), whole.length]
    const pieces = edges.slice(1).map((end, i) => whole.subarray(edges[i], end))
    expect(watched('native', pieces)).toEqual({ kind: 'final', usage })
  })
  fc.assert(same, { seed, numRuns: 2_000 })
})

test('lines that come together say what they say one by one, in every flavour', () => {
  const seed = seedOf('together')
  const flavours = ['native', 'openai', 'anthropic', 'responses'] as const
  const streams = [...captured(), nativePiece.repeat(5) + nativeFinal, `${nativePiece.repeat(5)}{"error":"x"}\n`]
  const cases = fc.tuple(fc.constantFrom(...streams), fc.constantFrom(...flavours), fc.nat(), fc.nat())
  const same = fc.property(cases, ([text, flavour, from, to]) => {
    const lines = text.split(/(?<=\n)/)
    const begin = from % lines.length
    const end = begin + (to % (lines.length - begin + 1))
    const grouped = [...lines.slice(0, begin), lines.slice(begin, end).join(''), ...lines.slice(end)]
    expect(watched(flavour, grouped)).toEqual(watched(flavour, lines))
  })
  fc.assert(same, { seed, numRuns: 3_000 })
})

test('a piece may be reused by its sender after it was pushed', () => {
  const watch = createStreamWatch('native', NDJSON)
  const piece = bytes('{"done":')
  watch.push(piece)
  piece.fill(0x20)
  watch.push(bytes('true}\n'))
  expect(watch.state().kind).toBe('final')
})

test('a line of 8 MB in 64 KiB pieces is read in far less than a second', () => {
  const line = bytes(`{"message":{"content":"${'x'.repeat(8_000_000)}"},"done":true,"eval_count":2}\n`)
  const watch = createStreamWatch('native', NDJSON)
  const began = performance.now()
  for (let at = 0; at < line.length; at += 65_536) watch.push(line.subarray(at, at + 65_536))
  expect(watch.state().kind).toBe('final')
  expect(watch.usage().completionTokens).toBe(2)
  expect(performance.now() - began).toBeLessThan(1_000)
})

test.each([
  [NDJSON, true],
  ['text/event-stream', true],
  ['text/event-stream; charset=utf-8', true],
  ['application/json; charset=utf-8', false],
  ['', false],
])('%p is a stream: %p', (type, streams) => {
  expect(isStream(type)).toBe(streams)
})

describe('a whole answer', () => {
  test.each([
    ['native', nativeFinal, 'final'],
    ['native', '{"message":{"content":"cut"},"done":false}', 'cut'],
    ['native', '{"message":{"content":""},"done":false}', 'open'],
    ['native', '{"error":"x"}', 'error'],
    ['openai', '{"error":{"message":"x"}}', 'error'],
    ['responses', '{"object":"response","error":null}', 'final'],
    ['native', '{"embedding":[1]}', 'final'],
    ['openai', '{"choices":[],"done":false}', 'final'],
    ['anthropic', '{"type":"message"}', 'final'],
  ] as const)('%s %s is %s', (flavour, text, kind) => {
    expect(readWholeAnswer(flavour, bytes(text)).state.kind).toBe(kind)
  })

  test('is counted', () => {
    expect(readWholeAnswer('native', bytes(nativeFinal)).usage).toEqual(usage)
    const openai = '{"usage":{"prompt_tokens":7,"completion_tokens":2}}'
    expect(readWholeAnswer('openai', bytes(openai)).usage).toEqual({ ...usage, totalDurationMs: null })
  })
})

describe('an answer too large to be held', () => {
  test.each([1, 7, 5_000])('is counted by its last bytes, in pieces of %d', (size) => {
    const openai = '"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}'
    const native = '"done":true,"total_duration":2000000,"prompt_eval_count":7,"eval_count":2}'
    for (const [end, totalDurationMs] of [[openai, null] as const, [native, 2] as const]) {
      const whole = bytes(`{"response":"${'"eval_count":99 '.replaceAll('"', '\\"').repeat(500)}",${end}\n`)
      const watch = createEndWatch()
      for (let at = 0; at < whole.length; at += size) watch.push(whole.subarray(at, at + size))
      expect(watch.usage()).toEqual({ ...usage, totalDurationMs })
    }
  })
})

describe('a broken stream is ended so that its clients see it', () => {
  test.each(['native', 'openai', 'responses', 'anthropic'] as const)('%s', (flavour) => {
    const message = 'the "target" broke\noff'
    for (const atLineStart of [true, false]) {
      const text = new TextDecoder().decode(streamErrorBytes(flavour, message, atLineStart))
      const before = flavour === 'native' ? '{"message":{"conte' : 'data: {"choic'
      expect(watched(flavour, [atLineStart ? '' : before, text])).toMatchObject({ kind: 'error', message, told: true })
    }
  })
})
