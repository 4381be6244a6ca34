/** Who has which job: an order to end one reaches it in the queue, on its slot and on every way between. */
import { expect, test } from 'bun:test'
import type { ActiveJob, JobState } from '../../src/domain/job/job.ts'
import { createRoster } from '../../src/engine/roster.ts'

const job = (slot = 0): ActiveJob => ({
  seq: 1,
  id: 'a',
  kind: 'async',
  endpoint: '/api/chat',
  model: 'm',
  residencyKey: 'm',
  state: 'loading',
  slot,
  attempt: 1,
  maxAttempts: 3,
  deferrals: 0,
  hasWebhook: false,
  fallback: null,
  createdAt: 0,
})

const order = { why: { kind: 'left' }, reason: 'cancelled' } as const

const build = (states: (JobState | null)[], withdrawals: boolean[]) => {
  const asked = { withdrawals: 0 }
  const roster = createRoster({
    clock: { monotonicMs: () => 0 },
    withdraw: async () => withdrawals[asked.withdrawals++] ?? false,
    stateOf: () => states.shift() ?? null,
  })
  return { roster, asked }
}

test('a job that waits is withdrawn', async () => {
  const { roster } = build([], [true])
  expect(await roster.end('a', order)).toBe('withdrawn')
  expect(await roster.endIfOrdered('a')).toBeNull()
})

test('a job on its slot is told at once, without a write', async () => {
  const { roster, asked } = build([], [])
  const seat = roster.seat(job())
  expect(await roster.end('a', order)).toBe('told')
  expect([seat.stopper.why, asked.withdrawals]).toEqual([{ kind: 'left' }, 0])
})

test('a job that has been claimed but not seated is stopped when it is seated', async () => {
  const { roster } = build(['loading'], [false])
  expect(await roster.end('a', order)).toBe('told')
  expect(roster.seat(job()).stopper.why).toEqual({ kind: 'left' })
  expect(await roster.endIfOrdered('a')).toBeNull()
})

test('a job whose attempt is over is taken out when it is back in the queue', async () => {
  const { roster } = build(['working'], [false, true])
  const seat = roster.seat(job())
  roster.leave(seat)
  expect(await roster.end('a', order)).toBe('told')
  expect(seat.stopper.why).toBeNull()
  roster.free(seat)
  expect((await roster.endIfOrdered('a'))?.ended).toBe('withdrawn')
})

test('a job that came back into the queue while it was asked for is asked for again', async () => {
  const { roster, asked } = build(['queued'], [false, true])
  expect(await roster.end('a', order)).toBe('withdrawn')
  expect(asked.withdrawals).toBe(2)
})

test('a job that is over leaves no order behind', async () => {
  for (const state of ['done', null] as const) {
    const { roster } = build([state], [false])
    expect(await roster.end('a', order)).toBe('over')
    expect(await roster.endIfOrdered('a')).toBeNull()
  }
})

test('a slot is free when the settle of its job is ready, not before', () => {
  const { roster } = build([], [])
  const seat = roster.seat(job(0))
  expect([roster.freeSlot(1), roster.freeSlot(2)]).toEqual([null, 1])
  roster.leave(seat)
  expect(roster.freeSlot(1)).toBeNull()
  roster.free(seat)
  expect(roster.freeSlot(1)).toBe(0)
})
