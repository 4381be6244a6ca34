/** Two simulators, one of them behind a foreman, all from the executable; everything is gone when it is closed. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where a client program finds its server and how it commands faults. */
export interface Side {
  readonly name: 'direct' | 'through'
  readonly env: Readonly<Record<string, string>>
}

export interface ClientBench {
  readonly direct: Side
  readonly through: Side
  close(): Promise<void>
}

const executable = join(import.meta.dir, '../../dist/foreman')

// A token each 10 ms: a stream can be interrupted, and the whole run is short.
const pace = ['--load', '0', '--first-token', '10ms', '--tokens-per-second', '100', '--max-loaded-models', '4']

/** The first line of JSON that has the member. */
const firstWith = async (output: ReadableStream<Uint8Array>, member: string): Promise<Record<string, unknown>> => {
  const decoder = new TextDecoder()
  let text = ''
  const reader = output.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`it ended without saying "${member}": ${text}`)
    text += decoder.decode(value, { stream: true })
    const line = text.split('\n').find((one) => one.startsWith('{') && one.includes(`"${member}":`))
    if (line === undefined) continue
    void reader.cancel()
    return JSON.parse(line) as Record<string, unknown>
  }
}

/** Starts all three. `waitMs`: how long the queue is kept busy in the case that waits; `limitMs`: what an impatient client bears. */
export const startBench = async ({
  waitMs,
  limitMs,
}: {
  readonly waitMs: number
  readonly limitMs: number
}): Promise<ClientBench> => {
  const children: Bun.Subprocess[] = []
  const dataDir = mkdtempSync(join(tmpdir(), 'foreman-clients-'))
  const start = (args: readonly string[], env: Record<string, string>, member: string) => {
    const child = Bun.spawn([executable, ...args], {
      env,
      cwd: tmpdir(),
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'ignore',
    })
    children.push(child)
    return firstWith(child.stdout, member)
  }
  const simulate = () =>
    start(['simulate', '--addr', '127.0.0.1:0', '--control-port', '0', '--json', ...pace], {}, 'control_url')
  const [first, second] = await Promise.all([simulate(), simulate()])
  const env = {
    FOREMAN_ADDR: '127.0.0.1:0',
    FOREMAN_OLLAMA_URL: String(second['url']),
    FOREMAN_DATA_DIR: dataDir,
    FOREMAN_POLL_INTERVAL: '1s',
    // Longer than a sign of life takes: a head may have gone out before it is over.
    FOREMAN_UNREACHABLE_DEADLINE: '2s',
  }
  const serving = await start(['serve'], env, 'url')
  const sideOf = (name: Side['name'], url: unknown, control: unknown, foreman: string): Side => ({
    name,
    env: {
      BASE: String(url),
      CONTROL: String(control),
      FOREMAN: foreman,
      WAIT_MS: String(waitMs),
      LIMIT_MS: String(limitMs),
    },
  })
  return {
    direct: sideOf('direct', first['url'], first['control_url'], ''),
    through: sideOf('through', serving['url'], second['control_url'], String(serving['url'])),
    async close() {
      for (const child of children) child.kill()
      await Promise.all(children.map((child) => child.exited))
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
