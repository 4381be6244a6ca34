/** Retry-After is read in one way, whoever sent it. */
import { expect, test } from 'bun:test'
import { retryAfterMs } from '../../../src/domain/wire/retry-after.ts'

const NOON = 'Thu, 01 Jan 2026 12:00:00 GMT'

test.each([
  ['0', 0],
  ['120', 120_000],
  [' 7 ', 7_000],
  ['Thu, 01 Jan 2026 12:01:00 GMT', 60_000],
  ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
  ['-5', null],
  ['1.5', null],
  ['soon', null],
  ['', null],
  ['99999999999999999999', null],
  ['not a date GMT', null],
])('%p in an answer of noon means %p ms', (text, expected) => {
  expect(
    retryAfterMs([
      ['Date', NOON],
      ['retry-after', text],
    ]),
  ).toBe(expected)
})

test('an answer that says nothing, or gives a date and does not say when it was made, asks for nothing', () => {
  expect(retryAfterMs([])).toBeNull()
  expect(retryAfterMs([['Retry-After', NOON]])).toBeNull()
  expect(retryAfterMs([['Retry-After', '30']])).toBe(30_000)
})
