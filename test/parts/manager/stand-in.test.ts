/** The stand-in for the program `ollama` does as its plan says: a check of what the tests of the manager stand on. */
import { afterEach, expect, test } from 'bun:test'
import { eventually } from '../../support/patience.ts'
import { createStandIn, freePort, type StandIn, stateOf } from '../../support/stand-in.ts'

let standIn: StandIn
afterEach(() => standIn.remove())

const serve = (host: string) => {
  const child = Bun.spawn([standIn.path, 'serve'], {
    env: { PATH: process.env['PATH'] ?? '', OLLAMA_HOST: host },
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const answers = () =>
    eventually(20_000, 'the stand-in to answer', () =>
      fetch(`http://${host}/`, { keepalive: false }).then(
        (reply) => reply.text(),
        () => null,
      ),
    )
  return { child, answers }
}
const host = () => `127.0.0.1:${freePort()}`

test('it serves, and its other words ask the server', async () => {
  standIn = createStandIn({ simulator: { models: [{ name: 'm-a' }] } })
  const at = host()
  const { child, answers } = serve(at)
  expect(await answers()).toBe('Ollama is running')
  expect((await standIn.run(['list'], at)).out).toContain('m-a:latest')
  expect(await standIn.run(['--version'], at)).toMatchObject({ code: 0, out: 'ollama version is 0.33.0\n' })
  expect((await standIn.run(['pull', 'nope'], at)).code).toBe(1)
  expect(await standIn.run(['stop', 'm-a'], at)).toMatchObject({ code: 0 })
  const second = await standIn.run(['serve'], at)
  expect(second).toMatchObject({ code: 1, err: `Error: listen tcp ${at}: bind: address already in use\n` })
  child.kill('SIGTERM')
  expect(await child.exited).toBe(0)
  expect(standIn.diary().map(({ event }) => event)).toEqual(['started', 'listening', 'started', 'taken', 'ended'])
})

test('it refuses to start, and says why', async () => {
  standIn = createStandIn({ refuses: 'no space left on device' })
  expect(await standIn.run(['serve'], host())).toMatchObject({ code: 1, err: 'Error: no space left on device\n' })
})

test('it ends by itself after its time', async () => {
  standIn = createStandIn({ exitsAfterMs: 30 })
  expect(await serve(host()).child.exited).toBe(1)
})

test('hanging, it lists and never generates; it ignores a TERM; its runner survives a KILL', async () => {
  standIn = createStandIn({
    hangs: true,
    ignoresTerm: true,
    forksRunner: true,
    simulator: { models: [{ name: 'm-a' }] },
  })
  const at = host()
  const { child, answers } = serve(at)
  await answers()
  const body = JSON.stringify({ model: 'm-a', prompt: 'test', stream: false })
  const asked = fetch(`http://${at}/api/generate`, { method: 'POST', body, signal: AbortSignal.timeout(200) })
  expect(await asked.then(String, (error: Error) => error.name)).toBe('TimeoutError')
  expect((await fetch(`http://${at}/api/tags`)).status).toBe(200)
  await eventually(5_000, 'the runner', async () => (standIn.living().runners.length === 1 ? true : null))
  child.kill('SIGTERM')
  expect((await fetch(`http://${at}/api/version`)).status).toBe(200)
  child.kill('SIGKILL')
  await child.exited
  expect(standIn.living()).toMatchObject({ servers: [], runners: [expect.any(Number)] })
  expect(stateOf(standIn.living().runners[0] ?? 0)).toBe('S')
})

test('its first answer is late although the port is bound', async () => {
  standIn = createStandIn({ firstAnswerAfterMs: 300 })
  const at = host()
  serve(at)
  await eventually(20_000, 'the port', async () =>
    standIn.diary().some(({ event }) => event === 'listening') ? true : null,
  )
  const asked = fetch(`http://${at}/`, { signal: AbortSignal.timeout(100) })
  expect(await asked.then(String, (error: Error) => error.name)).toBe('TimeoutError')
  expect(await (await fetch(`http://${at}/`)).text()).toBe('Ollama is running')
})
