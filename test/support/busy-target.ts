/** A target that is busy for many virtual hours, as badly as one can be that works: long prompts, silent loads, rare tokens, clients in a crowd. */
import { expect } from 'bun:test'
import { createDice } from './chance.ts'
import { createWorld } from './managed.ts'
import { FINAL, type Plan } from './virtual-target.ts'

const CLIENTS = 8
const LOAD_MS = 4 * 60_000
const TOKEN = '{"model":"m","message":{"role":"assistant","content":"t"},"done":false}\n'

/** Ten minutes of prompt; a token a minute; or an ordinary answer. */
const plans: readonly Plan[] = [
  { kind: 'ok', afterMs: 10 * 60_000 },
  { kind: 'stream', pieces: [...Array(12).fill(TOKEN), FINAL], everyMs: 60_000, ending: 'end' },
  { kind: 'ok', afterMs: 3_000 },
]

export interface Busy {
  readonly hours: number
  readonly jobs: number
  readonly restarts: number
}

/** In `own` its processes are seen to compute, in `adopt` nobody sees them. */
export const busyFor = async (manage: 'own' | 'adopt', hours: number, seed: number): Promise<Busy> => {
  const dice = createDice(seed)
  const world = createWorld({ manage, loadMs: LOAD_MS, config: { unreachableDeadlineMs: 600_000, maxWaitMs: 120_000 } })
  const { bench } = world
  if (manage === 'adopt') world.computes = null
  world.script = ({ isWork }) => (isWork ? dice.pick(plans) : undefined)
  const begun = () => world.starts.length
  await bench.quiet()
  const first = begun()
  let serial = 0
  const calls = Array.from({ length: CLIENTS }, () => bench.call(`c${serial++}`))
  let failed = 0
  const ask = (at: number) => {
    if (calls[at]?.status !== 200) failed++
    calls[at] = bench.call(`c${serial++}`, { model: dice.pick(['m-a', 'm-b']) })
  }
  for (let minute = 0; minute < hours * 60; minute++) {
    await bench.clock.advance(60_000)
    for (const [at, { isOver }] of calls.entries()) if (isOver) ask(at)
  }
  const restarts = begun() - first + world.noticed('ollama_down').length
  expect(failed).toBe(0)
  expect(world.part().status?.()).toMatchObject({ health: 'healthy' })
  for (const call of calls) call.leave()
  await bench.close()
  return { hours, jobs: serial - CLIENTS, restarts }
}
