/** A histogram says what Prometheus expects: growing buckets, their sum and their number. */
import { expect, test } from 'bun:test'
import { createDurations } from '../../src/observe/durations.ts'

test('each duration is in its bucket and in all above it, and a bound belongs to its own', () => {
  const durations = createDurations('foreman_test_seconds', 'A test', [0.5, 1])
  for (const seconds of [0.25, 0.5, 0.75, 4]) durations.observe(seconds)
  expect(durations.text().split('\n')).toEqual([
    '# HELP foreman_test_seconds A test',
    '# TYPE foreman_test_seconds histogram',
    'foreman_test_seconds_bucket{le="0.5"} 2',
    'foreman_test_seconds_bucket{le="1"} 3',
    'foreman_test_seconds_bucket{le="+Inf"} 4',
    'foreman_test_seconds_sum 5.5',
    'foreman_test_seconds_count 4',
    '',
  ])
})
