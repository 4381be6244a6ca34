/** The program `ollama` as tests start it: the simulator as a child process of its own, with faults from a file; it must never be mistaken for the real one's inside. */
import { appendFileSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'

/** What it does, read anew at each start. */
export interface StandInPlan {
  readonly simulator?: SimulatorOptions
  /** Ends at once with these words. */
  readonly refuses?: string
  readonly exitsAfterMs?: number
  /** Lists and versions are answered, a generation never. */
  readonly hangs?: boolean
  readonly ignoresTerm?: boolean
  /** A process beside it that holds the memory, as llama-server does: it is ended with a TERM, and survives a KILL. */
  readonly forksRunner?: boolean
  /** The runner survives the TERM too. */
  readonly losesRunner?: boolean
  readonly growsMbPerSecond?: number
  /** The port is bound, and the first answer comes so much later. */
  readonly firstAnswerAfterMs?: number
}

/** A line of the diary beside the plan: every start and end that it saw. */
export interface DiaryLine {
  readonly event: 'started' | 'listening' | 'refused' | 'taken' | 'runner' | 'ended'
  readonly pid: number
  readonly atMs: number
}

const [planFile = '', verb = '', ...args] = process.argv.slice(2)
const place = dirname(planFile)
const plan = (): StandInPlan => JSON.parse(readFileSync(planFile, 'utf8')) as StandInPlan
const note = (event: DiaryLine['event'], pid = process.pid) => {
  const line: DiaryLine = { event, pid, atMs: Date.now() }
  appendFileSync(join(place, 'diary.jsonl'), `${JSON.stringify(line)}\n`)
}

const host = (process.env['OLLAMA_HOST'] ?? '127.0.0.1:11434').replace(/^https?:\/\//, '').replace(/\/$/, '')
const cut = host.lastIndexOf(':')
const hostname = host.slice(0, cut)
const port = Number(host.slice(cut + 1))
const base = `http://${host}`

const fail = (words: string): never => {
  process.stderr.write(`Error: ${words}\n`)
  process.exit(1)
}

const hang = (simulator: Simulator) => {
  for (const path of ['/api/generate', '/api/chat', '/v1/*']) simulator.fault({ kind: 'hang-before-headers', path })
}

const isTaken = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'

const start = async ({ simulator: options }: StandInPlan): Promise<Simulator> => {
  try {
    return await startSimulator({ ...options, hostname, port })
  } catch (error) {
    if (!isTaken(error)) throw error
    note('taken')
    return fail(`listen tcp ${host}: bind: address already in use`)
  }
}

const serve = async () => {
  note('started')
  const planned = plan()
  if (planned.refuses !== undefined) {
    note('refused')
    fail(planned.refuses)
  }
  const simulator = await start(planned)
  note('listening')
  const runner = planned.forksRunner ? Bun.spawn([join(place, 'llama-server'), '100000']) : null
  if (runner) note('runner', runner.pid)
  process.on('SIGTERM', () => {
    if (planned.ignoresTerm) return
    if (!planned.losesRunner) runner?.kill('SIGKILL')
    note('ended')
    process.exit(0)
  })
  if (planned.hangs) hang(simulator)
  if (planned.firstAnswerAfterMs) {
    simulator.sleep()
    setTimeout(simulator.wake, planned.firstAnswerAfterMs)
  }
  if (planned.exitsAfterMs !== undefined) setTimeout(() => process.exit(1), planned.exitsAfterMs)
  const hoard: Uint8Array[] = []
  if (planned.growsMbPerSecond)
    setInterval(() => hoard.push(new Uint8Array((planned.growsMbPerSecond ?? 0) * 102_400).fill(1)), 100)
}

/** The answer of the server, or Ollama's words for a server that is not there. */
const ask = async (path: string, body?: object): Promise<Response> => {
  const init = body && { method: 'POST', body: JSON.stringify(body) }
  const reply = await fetch(`${base}${path}`, init).catch(() => null)
  return reply ?? fail('could not connect to ollama server, run `ollama serve` to start it')
}

const table = async (path: string) => {
  const { models } = (await (await ask(path)).json()) as { models: { name: string; digest: string; size: number }[] }
  const rows = models.map(({ name, digest, size }) => `${name}\t${digest.slice(0, 12)}\t${size}\n`)
  process.stdout.write(`NAME\tID\tSIZE\n${rows.join('')}`)
}

/** The lines of an answer that streams; its error is the program's. */
const follow = async (reply: Response) => {
  const text = await reply.text()
  process.stderr.write(text)
  const last = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '{}') as { error?: string }
  if (last.error !== undefined) fail(last.error)
}

const verbs: Readonly<Record<string, () => Promise<unknown> | unknown>> = {
  serve,
  list: () => table('/api/tags'),
  ps: () => table('/api/ps'),
  pull: async () => follow(await ask('/api/pull', { model: args[0] })),
  create: async () => {
    const file = readFileSync(args[args.indexOf('-f') + 1] ?? 'Modelfile', 'utf8')
    await follow(await ask('/api/create', { model: args[0], from: /^FROM\s+(\S+)/m.exec(file)?.[1] }))
  },
  stop: async () => void (await (await ask('/api/generate', { model: args[0], keep_alive: 0 })).text()),
  '--version': async () => {
    const { version } = (await (await ask('/api/version')).json()) as { version: string }
    process.stdout.write(`ollama version is ${version}\n`)
  },
}

await (verbs[verb] ?? (() => fail(`unknown command "${verb}" for "ollama"`)))()
