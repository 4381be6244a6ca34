/** A stop does not wait for a target that says nothing, and whoever waits for a poll is let go with it. */
import { afterAll, expect, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import { askTarget } from '../../src/engine/ask.ts'
import type { ReplyBody } from '../../src/engine/ports.ts'
import { createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'
import { runForeman } from '../support/foreman.ts'
import { settled } from '../support/virtual-clock.ts'

const STOP_MS_MAX = 100

const silent = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
afterAll(() => silent.stop(true))

test('an idle engine beside a target that hangs stops without any time passing, and lets go who waits for a poll', async () => {
  for (const path of ['/api/tags', '/api/ps', '/api/version']) {
    const bench = createBench()
    bench.target.script = (seen) => (seen.path === path ? { kind: 'hang' } : undefined)
    await bench.clock.advance(1_000)
    const polled = bench.engine.poller.poll()
    const stops = [bench.engine.stop(10_000), polled]
    await Promise.all(stops)
    expect([bench.clock.pending, bench.eventsOf('poll_failed'), bench.engine.state.view.reachable]).toEqual([
      0,
      [],
      true,
    ])
    await bench.close()
  }
})

test(`a whole foreman that is idle beside a silent target stops within ${STOP_MS_MAX} ms`, async () => {
  const took: number[] = []
  for (let round = 0; round < 5; round++) {
    const foreman = await runForeman(`http://127.0.0.1:${silent.port}`)
    await settled()
    const beganMs = systemClock.monotonicMs()
    await foreman.stop()
    took.push(Math.round(systemClock.monotonicMs() - beganMs))
  }
  const [, , median = 0] = took.sort((a, b) => a - b)
  expect(median).toBeLessThanOrEqual(STOP_MS_MAX)
  figure('L3', 'stop beside a silent target, the median of 5', `${median} ms`)
}, 30_000)

test('an answer that never ends is given up when it is longer than any list of models', async () => {
  let reads = 0
  let isCancelled = false
  const body: ReplyBody = {
    complete: null,
    async read() {
      reads++
      return { kind: 'chunk', bytes: new Uint8Array(1_048_576) }
    },
    cancel() {
      isCancelled = true
    },
  }
  const asked = await askTarget(
    { send: async () => ({ kind: 'answered', status: 200, headers: [], body }) },
    '/api/tags',
  )
  expect(asked).toMatchObject({ kind: 'failed', message: 'the answer is longer than 33554432 bytes' })
  expect([isCancelled, reads]).toEqual([true, 33])
})
