/** The words for a target that is away: its name, since when, why, and a guess that is only made where it can be right. */
import { expect, test } from 'bun:test'
import { absenceReason, absenceWords } from '../../../src/domain/job/absence.ts'

const since = Date.UTC(2026, 10, 27, 9, 40)

test('a target that does not answer may be asleep', () => {
  const absence = { since: 1_000, message: 'connection refused', isAnswered: false }
  expect(absenceWords('http://gpu-box:11434', absence, 1_000 + 12 * 60_000, since)).toBe(
    'http://gpu-box:11434 has been away since 2026-11-27T09:40:00Z (12m): connection refused; it may be asleep',
  )
  expect(absenceReason({ ...absence, message: '' })).toBe('it may be asleep')
})

test('one in whose place something else answers is not asleep', () => {
  const absence = { since: 0, message: 'http://gpu-box answered 401', isAnswered: true }
  expect(absenceWords('http://gpu-box', absence, 5_000, since)).toBe(
    'http://gpu-box has been away since 2026-11-27T09:40:00Z (5s): http://gpu-box answered 401',
  )
})
