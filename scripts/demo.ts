/** A whole foreman in one terminal: simulator, daemon, a conversation, a swap, a job, then what to try; it must never outlive its own Ctrl-C. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { conversation, job, swap } from './demo/scenes.ts'
import { eachLine } from './step.ts'

const isOnce = process.argv.includes('--once')
const print = (line = '') => console.log(line)
const main = join(import.meta.dir, '../src/main.ts')
const model = 'llama3.2:3b'
const deadlineMs = 15_000
// Quick enough to be watched to its end.
const pace = ['--load', '800ms', '--first-token', '100ms', '--tokens-per-second', '100']

/** The usual port when nobody has it, else any free one. */
const portOr = (usual: number): number => {
  try {
    Bun.listen({ hostname: '127.0.0.1', port: usual, socket: { data() {} } }).stop(true)
    return usual
  } catch {
    return 0
  }
}

/** Settings of the surrounding shell must not change what the demo shows. */
const cleanEnv = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FOREMAN_')))

const children: Bun.Subprocess[] = []

/** Starts `foreman …` and resolves with the url that its first fitting JSON line names. */
const start = (args: readonly string[], env: Record<string, string>): Promise<string> => {
  // Its own process group, so that Ctrl-C reaches only this script and everything stops in order.
  const child = Bun.spawn([process.execPath, main, ...args], {
    env: { ...cleanEnv, ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    detached: true,
  })
  children.push(child)
  const said: string[] = []
  return new Promise((resolve, reject) => {
    const take = (line: string) => {
      said.push(line)
      const url = line.startsWith('{') && !line.includes('"simulating"') ? urlIn(line) : undefined
      if (url) resolve(url)
    }
    void eachLine(child.stderr, take)
    void eachLine(child.stdout, take).then(() => reject(new Error(`foreman ${args[0]} ended:\n${said.join('\n')}`)))
  })
}

const urlIn = (line: string): string | undefined => {
  const value: unknown = JSON.parse(line)
  return typeof value === 'object' && value !== null && 'url' in value && typeof value.url === 'string'
    ? value.url
    : undefined
}

const untilReady = async (url: string) => {
  const giveUpAt = performance.now() + deadlineMs
  while (performance.now() < giveUpAt) {
    const answer = await fetch(`${url}/readyz`).catch(() => null)
    if (answer?.status === 200) return
    await Bun.sleep(50)
  }
  throw new Error(`${url}/readyz was not 200 within ${deadlineMs / 1000} s`)
}

// npx leaves this behind; whoever came with npm has no bun to type.
const foreman = process.env['npm_config_user_agent']?.startsWith('npm/')
  ? `npx -y bun@${Bun.version} src/main.ts`
  : 'bun src/main.ts'

const hints = (url: string, target: string) => `
foreman ${url}   simulated Ollama ${target}

Try, in another terminal:
  curl ${url}/healthz
  curl ${url}/api/tags
  curl -N ${url}/api/chat -d '{"model":"qwen3:8b","messages":[{"role":"user","content":"hello"}]}'
  curl -N ${url}/v1/chat/completions -d '{"model":"${model}","stream":true,"messages":[{"role":"user","content":"hello"}]}'
  curl ${url}/metrics
  FOREMAN_URL=${url} ${foreman} status
  FOREMAN_URL=${url} ${foreman} submit ${model} --stream "Why is the sky blue?"

Point what you have at it:
  OLLAMA_HOST=${url.replace('http://', '')} ollama run ${model}
  Ollama clients such as go-llm: base URL ${url}
  OpenAI clients: base URL ${url}/v1, any API key
`

const stopAll = async () => {
  // The daemon before its target, so that it says goodbye to somebody.
  for (const child of [...children].reverse()) {
    child.kill('SIGTERM')
    const forced = setTimeout(() => child.kill('SIGKILL'), 12_000)
    await child.exited
    clearTimeout(forced)
  }
}

const directory = await mkdtemp(join(tmpdir(), 'foreman-demo-'))
const interrupted = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
})
let code = 0
try {
  const run = async () => {
    const target = await start(['simulate', '--json', ...pace, '--addr', `127.0.0.1:${portOr(11_434)}`], {})
    const addr = `127.0.0.1:${portOr(8080)}`
    const url = await start(['serve'], { FOREMAN_ADDR: addr, FOREMAN_OLLAMA_URL: target, FOREMAN_DATA_DIR: directory })
    await untilReady(url)
    const stage = { url, print, write: (text: string) => void process.stdout.write(text) }
    await conversation(stage)
    await swap(stage)
    await job(stage)
    print(hints(url, target))
    if (isOnce) return
    print('Ctrl-C stops both and removes their data.')
    await interrupted
  }
  await Promise.race([run(), interrupted])
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  code = 1
} finally {
  await stopAll()
  await rm(directory, { recursive: true, force: true })
}
process.exit(code)
