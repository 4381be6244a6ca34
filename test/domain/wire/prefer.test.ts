/** What `Prefer: wait=N` says, and what only looks like it. */
import { expect, test } from 'bun:test'
import { preferredWaitMs } from '../../../src/domain/wire/prefer.ts'

test.each([
  [null, null],
  ['', null],
  ['wait=5', 5_000],
  ['respond-async, wait=10', 10_000],
  ['wait = 7 ; x', 7_000],
  ['wait="7"', 7_000],
  ['WAIT=0', 0],
  ['wait=999999', 86_400_000],
  ['wait=-1', null],
  ['wait=1.5', null],
  ['wait=soon', null],
  ['await=5', null],
  ['return=minimal', null],
])('Prefer: %j waits %p ms', (header, ms) => {
  expect(preferredWaitMs(header)).toBe(ms)
})
