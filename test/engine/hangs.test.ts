/** The watch for a wedged target: it unloads what is idle and in the way, and never what is in use or only slow. */
import { expect, test } from 'bun:test'
import type { EngineEvent } from '../../src/domain/job/events.ts'
import { residentsFrom } from '../../src/domain/wire/inventory.ts'
import { createHangs } from '../../src/engine/hangs.ts'
import { createTargetState } from '../../src/engine/state.ts'
import { createVirtualClock, settled } from '../support/virtual-clock.ts'

const A = 'registry.ollama.ai/library/a:latest'
const B = 'registry.ollama.ai/library/b:latest'
const list = (...names: string[]) => residentsFrom({ models: names.map((name) => ({ name })) }) ?? []

const build = () => {
  const clock = createVirtualClock()
  const events: EngineEvent[] = []
  const state = createTargetState({ emit: () => undefined, clock })
  const at = { residents: list('a'), unloaded: [] as string[], held: 0, free: null as (() => void) | null }
  const hangs = createHangs({
    target: {
      async send({ body }) {
        at.unloaded.push(JSON.parse(new TextDecoder().decode(body as Uint8Array)).model)
        at.residents = []
        const complete = new TextEncoder().encode('{"done":true}')
        const reply = { complete, read: async () => ({ kind: 'end' as const }), cancel: () => undefined }
        return { kind: 'answered', status: 200, headers: [['Content-Type', 'application/json']], body: reply }
      },
    },
    state,
    look: async () => at.residents,
    hold: (until) =>
      new Promise((resolve) => {
        at.held++
        const release = () => void at.held--
        at.free = () => resolve(release)
        until.addEventListener('abort', () => {
          release()
          resolve(null)
        })
      }),
    clock,
    emit: (event) => void events.push(event),
  })
  const pass = async (ms: number) => {
    await clock.advance(ms)
    for (let turn = 0; turn < 4; turn++) await settled()
  }
  return { clock, state, hangs, at, events, pass }
}

test('what is loaded, idle and in the way is unloaded after 30 s of silence, and that is said until it moves', async () => {
  const { state, hangs, at, events, pass } = build()
  const waits = hangs.watch(B, 'past')
  await pass(29_000)
  expect(at.unloaded).toEqual([])
  await pass(1_500)
  expect([at.unloaded, state.view.hang]).toEqual([['a:latest'.split(':')[0] ?? ''], expect.stringContaining(B)])
  expect(events.map(({ event }) => event)).toEqual(['target_hangs'])
  waits.over()
  expect(state.view.hang).toBeNull()
})

test('a generation that streams is in use until it is over, and what runs is let finish before the cure', async () => {
  const { hangs, at, pass } = build()
  const streams = hangs.watch(A, 'job')
  streams.moves()
  hangs.watch(B, 'past')
  await pass(31_000)
  expect([at.unloaded, at.held]).toEqual([[], 1])
  streams.over()
  at.free?.()
  await pass(10)
  expect([at.unloaded, at.held]).toEqual([['a'], 0])
})

test('a hold ends with its reason: the client that waited has gone, or a job runs for longer than that', async () => {
  const { hangs, at, pass } = build()
  hangs.watch(A, 'job')
  const waits = hangs.watch(B, 'past')
  await pass(31_000)
  waits.over()
  await pass(10)
  expect([at.held, at.unloaded]).toEqual([0, []])
  const other = hangs.watch(B, 'past')
  await pass(31_000)
  expect(at.held).toBe(1)
  await pass(61_000)
  expect([at.held, at.unloaded]).toEqual([0, []])
  other.over()
})

test('a job that hangs on its slot holds nothing up for itself, and what another call uses is not touched', async () => {
  const { hangs, at, pass } = build()
  const embeds = hangs.watch(A, 'past')
  hangs.watch(B, 'job')
  await pass(60_000)
  expect([at.unloaded, at.held]).toEqual([[], 0])
  embeds.over()
  await pass(16_000)
  expect(at.unloaded).toEqual(['a'])
})

test('a slow load on a target that has room, and a request whose model is there, are never cured', async () => {
  const { hangs, at, pass } = build()
  at.residents = list('a', 'c')
  const learns = hangs.watch(B, 'past')
  await pass(1_000)
  at.residents = list('a', 'b')
  await pass(40_000)
  learns.over()
  at.residents = list('a')
  const slow = hangs.watch(B, 'job')
  await pass(540_000)
  slow.over()
  expect(at.unloaded).toEqual([])
})

test('a model that calls past the queue keep in use is not unloaded: its next calls wait in the queue for a minute', async () => {
  const { state, hangs, at, pass } = build()
  hangs.watch(A, 'past').moves()
  hangs.watch(B, 'job')
  await pass(29_000)
  expect(hangs.mustYield(A)).toBe(false)
  await pass(1_500)
  expect([hangs.mustYield(A), hangs.mustYield(B), at.unloaded, state.view.hang]).toEqual([
    true,
    false,
    [],
    expect.stringContaining('never idle'),
  ])
  at.residents = list('b')
  await pass(61_000)
  expect(hangs.mustYield(A)).toBe(false)
})

test('after the stop nobody is looked after, whoever comes late', async () => {
  const { clock, hangs, at, pass } = build()
  hangs.watch(B, 'past')
  hangs.stop()
  hangs.watch(B, 'past')
  expect(clock.pending).toBe(0)
  await pass(31_000)
  expect(at.unloaded).toEqual([])
})
