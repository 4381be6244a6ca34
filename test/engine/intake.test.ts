/** The intake alone: a caller bears an absent target for as long as it was told, and is told in time. */

import { expect, test } from 'bun:test'
import { readCall } from '../../src/domain/wire/call.ts'
import { matchRoute } from '../../src/domain/wire/routes.ts'
import { type Caller, createCallers } from '../../src/engine/caller.ts'
import { CallerIntake } from '../../src/engine/intake.ts'
import { createStopwatches } from '../../src/engine/patience.ts'
import { createRescue, type Rescuer } from '../../src/engine/rescue.ts'
import { createRoster } from '../../src/engine/roster.ts'
import { createTargetState } from '../../src/engine/state.ts'
import { SyncCaller } from '../../src/http/ollama/answer.ts'
import { createBench } from '../support/engine-bench.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

const body = new TextEncoder().encode('{"model":"m"}')

const callOf = () => {
  const matched = matchRoute('POST', '/api/chat')
  const read = matched.kind === 'route' ? readCall(matched.route, body, '') : null
  if (read?.kind !== 'call') throw new Error('no call')
  return read.call
}

const nothing = async () => {
  throw new Error('the intake has no business with this')
}

/** A rescuer that takes nobody. */
const nobody: Rescuer = {
  lanes: 1,
  afterMs: () => 0,
  wayOf: () => 'target',
  allows: () => true,
  marks: () => [],
  wants: () => false,
  serve: async () => ({ kind: 'left' }),
  servedBy: () => ({ who: 'fallback', model: null }),
}

/** An intake whose queue takes everything and gives everything back. */
const build = (unreachableDeadlineMs: number) => {
  const clock = createVirtualClock()
  const state = createTargetState({ emit: () => undefined, clock })
  const callers = createCallers()
  const rescuers = createRescue(() => undefined)
  const roster = createRoster({ clock: { monotonicMs: () => 0 }, withdraw: async () => true, stateOf: () => 'queued' })
  const queue = {
    enter: () => ({ kind: 'accepted' as const, seq: 1 }),
    withdraw: async () => true,
    claim: nothing,
    advance: nothing,
    settle: nothing,
    release: nothing,
    hasReady: () => false,
    takeAside: nothing,
    moveAside: nothing,
    forFallback: () => [],
    isEmpty: () => true,
    known: () => null,
  }
  const help = { wants: () => false, fromLine: async (_jobId: string, _caller: Caller) => false }
  const aside = {
    wants: () => help.wants(),
    fromLine: async (jobId: string, caller: Caller) => help.fromLine(jobId, caller),
  }
  const common = { queue, callers, roster, rescuers, aside, state, clock }
  const intake = new CallerIntake({ ...common, emit: () => undefined, nudge: () => undefined, maxAttempts: 3 })
  const admit = async (jobId: string, deadlineMs: number | null = null) => {
    const patience = createStopwatches(clock, unreachableDeadlineMs).create()
    const base = { jobId, call: callOf(), path: '/api/chat', headers: [], body, clock, patience }
    const caller = new SyncCaller({ ...base, signal: new AbortController().signal })
    const told = { status: 0 }
    void caller.answered.then((response) => {
      told.status = response.status
    })
    await intake.admit(jobId, caller, deadlineMs)
    return told
  }
  return { clock, state, callers, intake, rescuers, help, admit }
}

test('a deadline of the call ends it while it waits, and leaves no timer', async () => {
  const { clock, callers, intake, admit } = build(60_000)
  const told = await admit('a', 1_000)
  await clock.advance(999)
  expect(told.status).toBe(0)
  await clock.advance(1)
  expect([told.status, callers.size]).toEqual([503, 0])
  intake.stop()
  expect(clock.pending).toBe(0)
})

test('a caller that comes while others are being turned away has a deadline of its own', async () => {
  const { clock, state, admit } = build(1_000)
  const first = await admit('first')
  state.unreached('gone')
  const advanced = clock.advance(1_000)
  const second = await admit('second')
  await advanced
  await clock.advance(1_100)
  expect([first.status, second.status]).toEqual([503, 503])
})

test('the times that the target was missing add up, and those between them do not count', async () => {
  const { clock, state, admit } = build(1_000)
  const told = await admit('a')
  state.unreached('gone')
  await clock.advance(900)
  state.reached()
  await clock.advance(3_600_000)
  state.unreached('gone again')
  await clock.advance(90)
  expect(told.status).toBe(0)
  await clock.advance(10)
  expect(told.status).toBe(503)
})

test('whoever can answer in the target’s place is asked when it wants to be, and not before', async () => {
  const { clock, state, rescuers, help, callers, admit } = build(60_000)
  let isOpen = false
  const rescued: number[] = []
  rescuers.use({ ...nobody, afterMs: () => 5_000 })
  help.wants = () => isOpen
  help.fromLine = async (jobId, caller) => {
    rescued.push(clock.monotonicMs())
    callers.remove(jobId)
    caller.answer({ status: 200, headers: [], body: new Uint8Array() })
    return true
  }
  const early = await admit('early')
  state.unreached('gone')
  await clock.advance(10_000)
  expect(early.status).toBe(0)
  isOpen = true
  const late = await admit('late')
  await clock.advance(4_999)
  expect(late.status).toBe(0)
  await clock.advance(1)
  expect(late.status).toBe(200)
  await clock.advance(45_000)
  expect(early.status).toBe(200)
  expect(rescued.length).toBe(2)
})

test('one that nobody could help after all bears the target as long as it would have', async () => {
  const { clock, state, rescuers, help, admit } = build(10_000)
  rescuers.use({ ...nobody, afterMs: () => 1_000 })
  help.wants = () => true
  const told = await admit('a')
  state.unreached('gone')
  await clock.advance(9_999)
  expect(told.status).toBe(0)
  await clock.advance(1)
  expect(told.status).toBe(503)
})

test('a rescuer that throws when it is asked helps nobody and hurts nobody', () => {
  const faults: unknown[] = []
  const rescuers = createRescue((error) => faults.push(error))
  const fail = () => {
    throw new Error('no help')
  }
  rescuers.use({ ...nobody, afterMs: fail, wayOf: fail, marks: fail, wants: fail })
  const incoming = { call: callOf(), asks: null, client: null }
  expect([rescuers.afterMs(), rescuers.wayOf(incoming), rescuers.marks(callOf())]).toEqual([null, 'target', []])
  expect(faults.length).toBe(3)
})

test('nothing is taken after the intake is closed', async () => {
  const { callers, intake, admit } = build(1_000)
  await intake.close()
  await admit('late')
  await settled()
  expect(callers.size).toBe(0)
})

test('a call is told of before anything happens to it, however free the slot is', async () => {
  const bench = createBench()
  const calls = ['a', 'b', 'c'].map((id) => bench.call(id))
  await bench.until(() => calls.every(({ isOver }) => isOver))
  for (const id of ['a', 'b', 'c']) {
    const told = bench.events.filter((event) => 'jobId' in event && event.jobId === id).map(({ event }) => event)
    expect(told.filter((event) => event !== 'job_loading')).toEqual(['job_submitted', 'job_working', 'job_done'])
  }
  await bench.close()
})
