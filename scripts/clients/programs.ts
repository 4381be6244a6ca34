/** The client programs of test/clients and what each needs on this machine; what is missing is said, never guessed. */
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A program that asks its client everything; or why there is none here. */
export type Prepared =
  | { readonly kind: 'ready'; readonly command: readonly string[] }
  | { readonly kind: 'missing'; readonly why: string }

export interface Program {
  readonly name: string
  prepare(): Promise<Prepared>
}

const clients = join(import.meta.dir, '../../test/clients')

const ready = (...command: string[]): Prepared => ({ kind: 'ready', command })
const missing = (why: string): Prepared => ({ kind: 'missing', why })

// A registry that never answers must not hold the gate.
const PREPARE_MS = 240_000

/** Runs to the end; the last line of what it said when it failed. */
const failing = async (command: readonly string[], cwd: string): Promise<string | null> => {
  const child = Bun.spawn([...command], { cwd, stdin: 'ignore', stdout: 'ignore', stderr: 'pipe', timeout: PREPARE_MS })
  const said = (await new Response(child.stderr).text()).trim().split('\n')
  return (await child.exited) === 0 ? null : `${command[0]} failed: ${said.at(-1) ?? ''}`
}

/** A directory outside of the repository that is named after what is in it, so that the next run finds it. */
const directoryFor = (what: string, pins: string): string =>
  join(tmpdir(), `foreman-clients-${what}-${new Bun.CryptoHasher('sha256').update(pins).digest('hex').slice(0, 12)}`)

/** Node's own fetch has limits that Bun's has not: the programs run under node where there is one. */
const npm = (name: string): Program => ({
  name,
  async prepare() {
    const file = join(clients, 'node', `${name}.mjs`)
    return ready(Bun.which('node') ?? process.execPath, file)
  },
})

let installing: Promise<Prepared> | undefined

/** One virtual environment for all Python clients. */
const environment = async (): Promise<Prepared> => {
  const python = Bun.which('python3')
  if (python === null) return missing('no python3 on this machine')
  const requirements = join(clients, 'python/requirements.txt')
  const directory = directoryFor('python', await Bun.file(requirements).text())
  const inside = join(directory, 'bin/python')
  const stamp = join(directory, 'complete')
  if (existsSync(stamp)) return ready(inside)
  await rm(directory, { recursive: true, force: true })
  const made =
    (await failing([python, '-m', 'venv', directory], tmpdir())) ??
    (await failing([inside, '-m', 'pip', 'install', '--quiet', '--requirement', requirements], tmpdir()))
  if (made !== null) return missing(made)
  await Bun.write(stamp, '')
  return ready(inside)
}

const python = (name: string): Program => ({
  name,
  async prepare() {
    installing ??= environment()
    const prepared = await installing
    return prepared.kind === 'missing' ? prepared : ready(...prepared.command, join(clients, 'python', `${name}.py`))
  },
})

const go = (name: string): Program => ({
  name,
  async prepare() {
    const compiler = Bun.which('go')
    if (compiler === null) return missing('no go on this machine')
    const source = join(clients, 'go')
    const directory = directoryFor('go', await Bun.file(join(source, 'go.sum')).text())
    await mkdir(directory, { recursive: true })
    const binary = join(directory, 'client')
    const made = await failing([compiler, 'build', '-mod=readonly', '-o', binary, '.'], source)
    return made === null ? ready(binary) : missing(made)
  },
})

/** In the order of the table in the docs. */
export const programs: readonly Program[] = [
  npm('ollama'),
  npm('openai'),
  npm('anthropic'),
  npm('langchain'),
  npm('ai'),
  go('ollama-api'),
  python('with_ollama'),
  python('with_openai'),
  python('with_anthropic'),
  python('with_litellm'),
]
