/** `foreman simulate`: an Ollama without a GPU in the foreground; it must never claim a port that a real Ollama holds. */
import { readAddress } from '../config/values.ts'
import { parseDurationMs } from '../domain/duration.ts'
import {
  believablePace,
  defaultModels,
  isCurve,
  type Simulator,
  type SimulatorOptions,
} from '../simulator/simulator.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { readFlags, wrong } from './flags.ts'
import { readModels } from './simulated-models.ts'

const help = `foreman simulate runs an Ollama that needs no GPU, to try things and for tests.

Usage:  foreman simulate [flags]

  --addr HOST:PORT         where it listens; default 127.0.0.1:11434, port 0 is
                           any free one
  --models NAME=SIZE,…     installed models; the size may be left out, a family
                           may follow it (vl=4GiB:qwen3vl); default
                           llama3.2:3b, qwen3:8b, qwen3:14b, gemma3:4b,
                           nomic-embed-text
  --load DURATION          how long loading a model takes; default 1.5s
  --first-token DURATION   from the start of a generation to its first token;
                           default 200ms
  --tokens-per-second N    speed after that; default 40, 0 is all at once
  --parallel N             as OLLAMA_NUM_PARALLEL; default 1. Embedders and the
                           families that Ollama forces to one have one
  --curve 1,1.6,2.1,2.5    what requests of one model gain side by side: total
                           speed with 1, 2, 3, 4 of them (this is the default;
                           the last holds beyond)
  --speech words|tokens    what it says: words, JSON by schema and tool calls as
                           a model would (default), or tok0 tok1 tok2 to count
  --max-loaded-models N    as OLLAMA_MAX_LOADED_MODELS; default 1
  --max-queue N            as OLLAMA_MAX_QUEUE; default 512
  --no-deadlock            without Ollama's own deadlock: there, a request that
                           carries keep_alive for a model about to make room
                           keeps it, and whoever waits for the room hangs
  --linger DURATION        how late its scheduler hears that a request is over;
                           2ms, as on a busy machine, makes the deadlock show
                           behind one request at a time; default 0
  --control-port PORT      a second port on the same host: faults on command,
                           counters and these settings; default none
  --json                   print {"url":…,"control_url":…,"models":[…]} once it
                           listens

Exit codes: 0 stopped by a signal, 1 the port is taken, 2 usage.

Examples:
  foreman simulate
  foreman simulate --addr 127.0.0.1:0 --models tiny,big:70b=40GiB --load 10s
  foreman simulate --parallel 4 --curve 1,1.6,2.1,2.5
  foreman simulate --control-port 11435
  curl -d '{"kind":"reset","phase":"mid-body","times":1}' 127.0.0.1:11435/fault
  curl -d '{"curve":[1,0.9]}' 127.0.0.1:11435/settings
  curl 127.0.0.1:11435/counters
`

const options = {
  addr: { type: 'string' },
  models: { type: 'string' },
  load: { type: 'string' },
  'first-token': { type: 'string' },
  'tokens-per-second': { type: 'string' },
  'max-loaded-models': { type: 'string' },
  parallel: { type: 'string' },
  // The name of the first version.
  'num-parallel': { type: 'string' },
  curve: { type: 'string' },
  speech: { type: 'string' },
  'max-queue': { type: 'string' },
  'no-deadlock': { type: 'boolean' },
  linger: { type: 'string' },
  'control-port': { type: 'string' },
  json: { type: 'boolean' },
} as const

type Flags = { readonly [Name in keyof typeof options]?: string | boolean }

/** The command over what it starts. */
export const createSimulateCommand = (start: (options: SimulatorOptions) => Promise<Simulator>): Command => ({
  help,
  async run(args: readonly string[], io: Io) {
    const flags = readFlags(args, options, { io, help })
    if (flags.kind === 'exit') return flags.code
    const read = simulatorOptions(flags.values)
    if (typeof read === 'string') return wrong(io, read).code
    let simulator: Simulator
    try {
      simulator = await start(read)
    } catch (error) {
      if (!isTaken(error)) throw error
      io.stderr.write(
        `foreman: port ${read.port} of ${read.hostname} is taken, perhaps by a real Ollama: choose another with --addr\n`,
      )
      return exitCode.no
    }
    const stopped = Promise.withResolvers<void>()
    io.onSignal(() => stopped.resolve())
    io.stdout.write(flags.values.json ? asJson(simulator, read) : greeting(simulator, read))
    await stopped.promise
    await simulator.stop()
    return exitCode.ok
  },
})

const isTaken = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'

/** The flags as options, or one sentence about the first that is wrong. */
export const simulatorOptions = (flags: Flags): SimulatorOptions | string => {
  const problems: string[] = []
  const read = <T>(name: keyof Flags, fallback: T, parse: (text: string) => T | undefined, expected: string): T => {
    const text = flags[name]
    if (typeof text !== 'string') return fallback
    const value = parse(text)
    if (value === undefined) problems.push(`--${name} is "${text}": expected ${expected}`)
    return value ?? fallback
  }
  const count = (name: keyof Flags, fallback: number, least: number) =>
    read(name, fallback, (text) => integer(text, least, 1_000_000), `a whole number from ${least} to 1000000`)
  const addr = read('addr', { hostname: '127.0.0.1', port: 11_434 }, address, 'host:port such as 127.0.0.1:11434')
  const built: SimulatorOptions = {
    hostname: addr.hostname,
    port: addr.port,
    models: read('models', defaultModels, readModels, 'names such as tiny,big:70b=40GiB'),
    loadMs: read('load', believablePace.loadMs, delay, 'a duration such as 1.5s or 0'),
    firstTokenMs: read('first-token', believablePace.firstTokenMs, delay, 'a duration such as 200ms or 0'),
    tokensPerSecond: count('tokens-per-second', believablePace.tokensPerSecond, 0),
    speech: read('speech', believablePace.speech, readSpeech, 'words or tokens'),
    maxLoadedModels: count('max-loaded-models', 1, 1),
    numParallel: count('parallel', count('num-parallel', 1, 1), 1),
    curve: read('curve', believablePace.curve, readCurve, 'total speeds such as 1,1.6,2.1,2.5'),
    deadlock: flags['no-deadlock'] !== true,
    lingerMs: read('linger', 0, delay, 'a duration such as 2ms or 0'),
    maxQueue: count('max-queue', 512, 1),
    controlPort: read('control-port', null, (text) => integer(text, 0, 65_535) ?? undefined, 'a port from 0 to 65535'),
  }
  return problems[0] ?? built
}

const address = (text: string) => {
  const parsed = readAddress(text)
  return parsed.kind === 'ok' ? parsed.value : undefined
}

const delay = (text: string) => {
  const parsed = parseDurationMs(text)
  return parsed.kind === 'ok' && parsed.value >= 0 && parsed.value <= 3_600_000 ? parsed.value : undefined
}

const readSpeech = (text: string) => (text === 'words' || text === 'tokens' ? text : undefined)

const readCurve = (text: string): readonly number[] | undefined => {
  const curve = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  return isCurve(curve) ? curve : undefined
}

const integer = (text: string, least: number, most: number): number | undefined => {
  const value = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN
  return value >= least && value <= most ? value : undefined
}

const modelNames = ({ models = [] }: SimulatorOptions) => models.map(({ name }) => name)

const asJson = ({ url, controlUrl }: Simulator, read: SimulatorOptions) =>
  `${JSON.stringify({ url, control_url: controlUrl, models: modelNames(read) })}\n`

const greeting = ({ url, controlUrl }: Simulator, read: SimulatorOptions) => `A simulated Ollama listens at ${url}
models   ${modelNames(read).join(', ')}
${controlUrl ? `control  ${controlUrl} (GET /counters, POST /fault)\n` : ''}try      curl ${url}/api/chat -d '{"model":"${modelNames(read)[0]}","messages":[{"role":"user","content":"hello"}]}'
Ctrl-C stops it.
`
