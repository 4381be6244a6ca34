import { expect, test } from 'bun:test'
import { createStub } from '../support/command-io.ts'

const run = async (args: string[], env: Record<string, string> = {}) => {
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/../../src/main.ts`, ...args], {
    env,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { code: await child.exited, out, err }
}

test('the executable answers by exit code and keeps results and problems apart', async () => {
  const help = await run([])
  expect([help.code, help.err]).toEqual([0, ''])
  expect(help.out).toStartWith('foreman puts a durable queue in front of one Ollama server')
  const wrong = await run(['sreve'])
  expect([wrong.code, wrong.out]).toEqual([2, ''])
})

test('a long answer reaches a pipe whole', async () => {
  const models = Array.from({ length: 20_000 }, (_, index) => ({
    name: `model-${index}:latest`,
    size: index,
    details: {},
  }))
  const stub = createStub({
    '/api/tags': () => Response.json({ models }),
    '/api/ps': () => Response.json({ models: [] }),
  })
  const { code, out } = await run(['models', '--json'], { FOREMAN_URL: stub.url })
  expect([code, JSON.parse(out).length]).toEqual([0, 20_000])
  await stub.stop()
})

test('a proxy in the environment does not stand between the commands and this machine', async () => {
  const stub = createStub({ '/livez': () => new Response('ok') })
  const env = { FOREMAN_URL: stub.url, HTTP_PROXY: 'http://127.0.0.1:1', http_proxy: 'http://127.0.0.1:1' }
  expect(await run(['healthcheck'], env)).toEqual({ code: 0, out: 'ok\n', err: '' })
  await stub.stop()
})
