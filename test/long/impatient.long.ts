/** 10: a client with a header limit of 300 s, six minutes in the queue, signs of life on: it is answered; without them it is not. */
import { expect, test } from 'bun:test'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { runForeman } from '../support/foreman.ts'
import { generation } from '../support/generation-call.ts'
import { askOnce } from '../support/wire-client.ts'

const WAIT_MS = Number(process.env['FOREMAN_TEST_WAIT_MS'] ?? 360_000)
const minutes = (WAIT_MS / 60_000).toFixed(1)
const node = Bun.which('node')

const program = `
import { Ollama } from 'ollama'
const [host, stream] = process.argv.slice(-2)
const asked = { model: 'tiny', messages: [{ role: 'user', content: '[[n=3]]' }] }
const ollama = new Ollama({ host })
let said = ''
if (stream === 'true') for await (const part of await ollama.chat({ ...asked, stream: true })) said += part.message.content
else said = (await ollama.chat(asked)).message.content
process.stdout.write(said)
process.exit(0)
`

/** What ollama-js under node says, or how it failed. */
const ask = async (url: string, stream: boolean): Promise<string> => {
  const child = Bun.spawn([node!, '--input-type=module', '-e', program, url, String(stream)], {
    cwd: `${import.meta.dir}/../..`,
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return (await child.exited) === 0 ? out : `failed: ${err.slice(0, 2_000)}`
}

test.skipIf(node === null)(
  'ollama-js under node waits six minutes in the queue with signs of life, and fails without',
  async () => {
    const simulator = await startSimulator({ models: [{ name: 'tiny' }] })
    const quiet = await runForeman(simulator.url)
    const other = await startSimulator({ models: [{ name: 'tiny' }] })
    const lively = await runForeman(other.url, { FOREMAN_HEARTBEAT: '60s' })
    try {
      const before = [simulator, other].map(async (target, index) => {
        const { port } = index === 0 ? quiet : lively
        const silent = askOnce(port, generation('/api/chat', { stream: true, prompt: `[[silent=${WAIT_MS}]]` }))
        await target.waitFor(({ open }) => open === 1)
        return silent
      })
      const [without, streamed, whole] = await Promise.all([
        ask(quiet.url, true),
        ask(lively.url, true),
        ask(lively.url, false),
        ...before,
      ])
      expect([streamed, whole]).toEqual(['tok0 tok1 tok2 ', 'tok0 tok1 tok2 '])
      if (WAIT_MS > 300_000) expect(without).toMatch(/^failed: .*HeadersTimeoutError|UND_ERR_HEADERS_TIMEOUT/s)
      figure(
        'P4',
        `ollama-js under node, ${minutes} min in the queue with FOREMAN_HEARTBEAT=60s: answered; without: it gave up`,
      )
    } finally {
      await Promise.all([quiet.stop(), lively.stop()])
      await Promise.all([simulator.stop(), other.stop()])
    }
  },
  WAIT_MS + 60_000,
)
