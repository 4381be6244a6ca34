/** The intake alone: a caller is told in time even when its job can be reached neither in the queue nor on the worker. */
import { expect, test } from 'bun:test'
import { readCall } from '../../src/domain/wire/call.ts'
import { matchRoute } from '../../src/domain/wire/routes.ts'
import { createCallers } from '../../src/engine/caller.ts'
import { createIntake } from '../../src/engine/intake.ts'
import type { EngineQueue } from '../../src/engine/ports.ts'
import { createTargetState } from '../../src/engine/state.ts'
import { createSyncCaller } from '../../src/http/ollama/answer.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

const body = new TextEncoder().encode('{"model":"m"}')

const callOf = () => {
  const matched = matchRoute('POST', '/api/chat')
  const read = matched.kind === 'route' ? readCall(matched.route, body, '') : null
  if (read?.kind !== 'call') throw new Error('no call')
  return read.call
}

/** An intake whose queue says of every job that it is not waiting, as long as `outOfReach` holds. */
const build = (unreachableDeadlineMs: number) => {
  const clock = createVirtualClock()
  const state = createTargetState(() => undefined)
  const callers = createCallers()
  const reach = { outOfReach: true, withdrawals: 0 }
  const queue: Pick<EngineQueue, 'submit' | 'withdraw'> = {
    submit: async () => ({ kind: 'accepted', seq: 1 }),
    withdraw: async () => {
      reach.withdrawals++
      return !reach.outOfReach
    },
  }
  const intake = createIntake({
    queue: {
      ...queue,
      claim: nothing,
      advance: nothing,
      settle: nothing,
      hasReady: () => false,
      isEmpty: () => true,
      known: () => null,
    },
    callers,
    worker: { nudge: () => undefined, interrupt: () => false },
    state,
    clock,
    emit: () => undefined,
    maxAttempts: 3,
    unreachableDeadlineMs,
  })
  const admit = async (jobId: string, deadlineMs: number | null = null) => {
    const base = { jobId, call: callOf(), path: '/api/chat', headers: [], body, clock, unreachableDeadlineMs }
    const caller = createSyncCaller({ ...base, signal: new AbortController().signal })
    const told = { status: 0 }
    void caller.answered.then((response) => {
      told.status = response.status
    })
    await intake.admit(jobId, caller, deadlineMs)
    return told
  }
  return { clock, state, callers, reach, intake, admit }
}

const nothing = async () => {
  throw new Error('the intake has no business with this')
}

test('a deadline that meets its job between queue and worker is kept as soon as it is in reach', async () => {
  const { clock, callers, reach, intake, admit } = build(60_000)
  const told = await admit('a', 1_000)
  await clock.advance(1_350)
  expect([told.status, reach.withdrawals > 2]).toEqual([0, true])
  reach.outOfReach = false
  await clock.advance(100)
  expect([told.status, callers.size]).toEqual([503, 0])
  intake.stop()
  expect(clock.pending).toBe(0)
})

test('a target that goes away while a job is between queue and worker costs its caller no more than the deadline', async () => {
  for (const deadlineMs of [0, 5_000]) {
    const { clock, state, reach, intake, admit } = build(deadlineMs)
    const told = await admit('a')
    state.unreached('gone')
    await clock.advance(deadlineMs + 350)
    expect([told.status, reach.withdrawals > 2]).toEqual([0, true])
    reach.outOfReach = false
    await clock.advance(100)
    expect(told.status).toBe(503)
    await clock.advance(100)
    intake.stop()
    expect(clock.pending).toBe(0)
  }
})

test('a caller that comes while others are being turned away has a deadline of its own', async () => {
  const { clock, state, reach, admit } = build(1_000)
  const first = await admit('first')
  state.unreached('gone')
  reach.outOfReach = false
  const advanced = clock.advance(1_000)
  const second = await admit('second')
  await advanced
  await clock.advance(1_100)
  expect([first.status, second.status]).toEqual([503, 503])
})

test('a target that comes back and goes again gives every caller its whole deadline again', async () => {
  const { clock, state, reach, admit } = build(1_000)
  reach.outOfReach = false
  const told = await admit('a')
  state.unreached('gone')
  await clock.advance(900)
  state.reached()
  state.unreached('gone again')
  await clock.advance(900)
  expect(told.status).toBe(0)
  await clock.advance(100)
  expect(told.status).toBe(503)
})

test('nothing is taken after the intake is closed', async () => {
  const { callers, intake, admit } = build(1_000)
  await intake.close()
  await admit('late')
  await settled()
  expect(callers.size).toBe(0)
})
