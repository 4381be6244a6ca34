import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  formatDuration,
  formatSize,
  parseDurationMs,
  parseGoDurationMs,
  parseSizeBytes,
} from '../../src/domain/duration.ts'

const bad = (problem: string) => ({ kind: 'bad' as const, problem })
const ok = (value: number) => ({ kind: 'ok' as const, value })

describe('a configured duration', () => {
  test.each([
    ['30s', 30_000],
    ['1.5h', 5_400_000],
    ['1m30s', 90_000],
    ['250ms', 250],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['0', 0],
    ['0s', 0],
    ['45', 45_000],
    ['1.5', 1500],
    ['.5s', 500],
    ['1.s', 1000],
    [' 30s ', 30_000],
    ['+5s', 5000],
    ['-1', -1000],
    ['-1m', -60_000],
    ['1h1m1s1ms', 3_661_001],
    ['73.001s', 73_001],
    ['0.5ns', 0],
    ['100us', 0.1],
    ['100µs', 0.1],
    ['100μs', 0.1],
  ])('%s is understood', (text, ms) => {
    expect(parseDurationMs(text)).toEqual(ok(ms))
  })

  test.each([
    '',
    ' ',
    'fast',
    '5 s',
    's',
    '1d',
    '1h 30m',
    '--1s',
    '1e3',
    '0x10',
    '.',
    '.s',
    'Infinity',
    'NaN',
    '1s-1s',
    '99999999999h',
    '9223372037',
  ])('"%s" is refused', (text) => {
    expect(parseDurationMs(text).kind).toBe('bad')
  })

  test('what is formatted is read back as the same duration', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }), (ms) => {
        expect(parseDurationMs(formatDuration(ms))).toEqual(ok(ms))
      }),
    )
  })

  test('any text gets an answer', () => {
    fc.assert(fc.property(fc.string(), (text) => ['ok', 'bad'].includes(parseDurationMs(text).kind)))
  })

  test('the shortest form is written', () => {
    expect([0, 250, 1500, 90_000, 3_600_000, 5_400_000, 86_400_000, -1000].map(formatDuration)).toEqual([
      '0s',
      '250ms',
      '1.5s',
      '1m30s',
      '1h',
      '1h30m',
      '24h',
      '-1s',
    ])
  })
})

describe("a duration in a request, in Go's words", () => {
  test.each([
    ['-1', 'time: missing unit in duration "-1"'],
    ['300', 'time: missing unit in duration "300"'],
    ['', 'time: invalid duration ""'],
    ['-', 'time: invalid duration "-"'],
    ['fast', 'time: invalid duration "fast"'],
    ['5x', 'time: unknown unit "x" in duration "5x"'],
    ['1h5q', 'time: unknown unit "q" in duration "1h5q"'],
    ['5é', 'time: unknown unit "\\xc3\\xa9" in duration "5\\xc3\\xa9"'],
    ['a"b', 'time: invalid duration "a\\"b"'],
  ])('%s is refused as Ollama refuses it', (text, problem) => {
    expect(parseGoDurationMs(text)).toEqual(bad(problem))
  })

  test.each([
    ['10s', 10_000],
    ['24h', 86_400_000],
    ['0', 0],
    ['-0', 0],
    ['-1m', -60_000],
    ['1.5h', 5_400_000],
  ])('%s is understood', (text, ms) => {
    expect(parseGoDurationMs(text)).toEqual(ok(ms))
  })
})

describe('a size', () => {
  test.each([
    ['256KiB', 262_144],
    ['128MiB', 134_217_728],
    ['1GiB', 1_073_741_824],
    ['1.5GiB', 1_610_612_736],
    ['1000', 1000],
    ['0', 0],
    ['10b', 10],
    ['1 kib', 1024],
  ])('%s is understood', (text, bytes) => {
    expect(parseSizeBytes(text)).toEqual(ok(bytes))
  })

  test.each(['', '-1', '1KB', '1M', '0.3KiB', '1.5', 'KiB', '1e3', '99999999TiB'])('"%s" is refused', (text) => {
    expect(parseSizeBytes(text).kind).toBe('bad')
  })

  test('what is formatted is read back as the same size', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 31 - 1 }), fc.constantFrom(1, 1024, 1024 ** 2), (count, unit) => {
        expect(parseSizeBytes(formatSize(count * unit))).toEqual(ok(count * unit))
      }),
    )
    expect([0, 1000, 262_144, 134_217_728, 1024 ** 3].map(formatSize)).toEqual([
      '0B',
      '1000B',
      '256KiB',
      '128MiB',
      '1GiB',
    ])
  })
})
