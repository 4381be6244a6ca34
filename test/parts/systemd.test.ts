/** What systemd hears on a real datagram socket: ready, alive while the loops come round, stopping; and silence within its watchdog's time when the worker is wedged. */
import { afterEach, describe, expect, test } from 'bun:test'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Part, PartPorts } from '../../src/engine/part.ts'
import { createSystemd } from '../../src/parts/systemd/part.ts'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { temporaryDirectory } from '../support/store.ts'

let bench: Bench | undefined
let child: Bun.Subprocess | undefined
afterEach(async () => {
  await bench?.close()
  child?.kill('SIGKILL')
  await child?.exited
  bench = undefined
})

const script = join(import.meta.dir, '../support/notify-socket.py')
const python = Bun.which('python3')

/** Listens, and resolves with every datagram once one says that foreman stops. */
const listen = async (path: string) => {
  const spawned = Bun.spawn([python ?? 'python3', script, path], { stdout: 'pipe', stderr: 'inherit' })
  child = spawned
  const reader = spawned.stdout.getReader()
  let said = new TextDecoder().decode((await reader.read()).value)
  if (!said.startsWith('listening')) throw new Error(said)
  return async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return said.split('\n').slice(1, -1)
      said += new TextDecoder().decode(value)
    }
  }
}

const start = (path: string, { isWedged = (): boolean => false, watchdogUsec = '30000000' } = {}) => {
  const environment = { NOTIFY_SOCKET: path, WATCHDOG_USEC: watchdogUsec }
  bench = createBench({
    part: (ports: PartPorts<never>) => createSystemd({ ...ports, environment }),
    wrapQueue: (queue) => ({
      ...queue,
      isEmpty: () => queue.isEmpty(),
      claim: (query) => (isWedged() ? new Promise(() => undefined) : queue.claim(query)),
    }),
  })
  return bench
}

describe.skipIf(python === null)('systemd', () => {
  test('hears that foreman is ready, that it lives every 15 s, and that it stops', async () => {
    const path = join(temporaryDirectory(), 'notify')
    const heard = await listen(path)
    const { clock, close } = start(path)
    await clock.advance(60_000)
    bench = undefined
    await close()
    expect(await heard()).toEqual(['READY=1 STATUS=serving', ...Array(5).fill('WATCHDOG=1'), 'STOPPING=1'])
  })

  test('stopped again it closes nothing that is somebody else’s by now', async () => {
    const path = join(temporaryDirectory(), 'notify')
    const heard = await listen(path)
    let made: Part | undefined
    const environment = { NOTIFY_SOCKET: path }
    bench = createBench({
      part: (ports: PartPorts<never>) => {
        made = createSystemd({ ...ports, environment })
        return made
      },
    })
    await bench.clock.advance(1_000)
    await made?.stop()
    // The lowest free numbers: one of them was the socket's.
    const opened = Array.from({ length: 8 }, () => openSync(script, 'r'))
    await made?.stop()
    const closed = opened.filter((fd) => {
      try {
        closeSync(fd)
        return false
      } catch {
        return true
      }
    })
    expect(closed).toEqual([])
    expect(await heard()).toEqual(['READY=1 STATUS=serving', 'STOPPING=1'])
  })

  test('hears nothing more within 30 s of a worker that is wedged, although the timers go on', async () => {
    const path = `@foreman-test-${process.pid}-${Math.random().toString(36).slice(2)}`
    const heard = await listen(path)
    let isWedged = false
    const { clock, submit, close } = start(path, { isWedged: () => isWedged })
    await clock.advance(60_000)
    isWedged = true
    await submit('a')
    await clock.advance(600_000)
    bench = undefined
    void close()
    await clock.advance(60_000)
    const fed = (await heard()).filter((said) => said === 'WATCHDOG=1').length
    // Five until the wedge, and one in the 20 s after it; a timer that feeds blindly says 45.
    expect(fed).toBeGreaterThanOrEqual(5)
    expect(fed).toBeLessThanOrEqual(6)
  })

  test('a watchdog of another process is not fed, and without a socket nothing is done', async () => {
    const path = join(temporaryDirectory(), 'notify')
    const heard = await listen(path)
    const { clock, close } = start(path, { watchdogUsec: '0' })
    await clock.advance(60_000)
    bench = undefined
    await close()
    expect(await heard()).toEqual(['READY=1 STATUS=serving', 'STOPPING=1'])
    bench = createBench({ part: (ports: PartPorts<never>) => createSystemd({ ...ports, environment: {} }) })
    await bench.clock.advance(60_000)
    expect(bench.eventsOf('noticed')).toEqual([])
  })
})
