/** Two simulators, one of them behind two foremen, one of which wants a token in the path; all from the executable, and gone when it is closed. */
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

const TOKEN = 'open-sesame'

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

/** Starts all of them. `waitMs`: how long the queue is kept busy in the case that waits; `limitMs`: what an impatient client bears. */
export const startBench = async ({
  waitMs,
  limitMs,
}: {
  readonly waitMs: number
  readonly limitMs: number
}): Promise<ClientBench> => {
  const children: Bun.Subprocess[] = []
  const kill = () => {
    for (const child of children) child.kill()
  }
  const directory = mkdtempSync(join(tmpdir(), 'foreman-clients-'))
  const leave = () => {
    kill()
    rmSync(directory, { recursive: true, force: true })
  }
  // Whoever ends the script early ends them too.
  process.once('exit', leave)
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
  const serve = (name: string, settings: Record<string, string>) => {
    const env = {
      FOREMAN_ADDR: '127.0.0.1:0',
      FOREMAN_OLLAMA_URL: String(second['url']),
      FOREMAN_DATA_DIR: join(directory, name),
      ...settings,
    }
    return start(['serve'], env, 'url')
  }
  const [open, closed] = await Promise.all([
    // The deadline is longer than a sign of life takes: a head may have gone out before it is over.
    serve('open', { FOREMAN_POLL_INTERVAL: '1s', FOREMAN_UNREACHABLE_DEADLINE: '2s' }),
    serve('closed', { FOREMAN_TOKEN: TOKEN, FOREMAN_TOKEN_IN_PATH: 'true' }),
  ])
  const times = { WAIT_MS: String(waitMs), LIMIT_MS: String(limitMs) }
  const direct = String(first['url'])
  const through = String(open['url'])
  return {
    direct: {
      name: 'direct',
      env: { BASE: direct, TOKEN_BASE: direct, CONTROL: String(first['control_url']), FOREMAN: '', ...times },
    },
    through: {
      name: 'through',
      env: {
        BASE: through,
        TOKEN_BASE: `${closed['url']}/${TOKEN}`,
        CONTROL: String(second['control_url']),
        FOREMAN: through,
        ...times,
      },
    },
    async close() {
      process.off('exit', leave)
      kill()
      await Promise.all(children.map((child) => child.exited))
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
