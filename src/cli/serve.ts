/** `foreman serve`: settings to a running daemon and its orderly end; it must never start on a setting it did not understand. */
import { type Config, type Flags, loadConfig, secretsIn } from '../config/config.ts'
import { settings } from '../config/settings.ts'
import type { Environment } from '../domain/setting.ts'
import { createLogger, type Log } from '../observe/log.ts'
import { type Command, exitCode, type Io, type StopSignal } from './command.ts'
import { readFlags } from './flags.ts'

/** A daemon that runs, or one sentence about why it does not. */
export type Started =
  | {
      readonly kind: 'started'
      readonly url: string
      /** Finishes what it can within its grace. */
      stop(): Promise<void>
      /** Ends at once. */
      kill(): void
    }
  | { readonly kind: 'refused'; readonly message: string }

export interface ServeDeps {
  readonly startForeman: (config: Config, options: { log: Log; environment: Environment }) => Promise<Started>
  /** An Ollama without a GPU on a free port. */
  readonly startSimulator: () => Promise<{ url: string; stop(): Promise<void> }>
}

const flagged = Object.values(settings).flatMap(({ flag, variable }) => (flag ? [{ flag, variable }] : []))

/** The flags of settings come from the table, as everything about settings does. */
const flagTypes = {
  simulate: { type: 'boolean' },
  json: { type: 'boolean' },
  ...Object.fromEntries(flagged.map(({ flag: [name] }) => [name, { type: 'string' }] as const)),
} as const

const flagLine = (name: string, value: string, meaning: string) => `  ${`--${name} ${value}`.padEnd(20)} ${meaning}\n`

const head = `foreman serve runs the daemon in the foreground until SIGTERM or SIGINT.

Usage:  foreman serve [flags]

${flagged.map(({ flag: [name, value], variable }) => flagLine(name, value, `instead of ${variable}`)).join('')}\
${flagLine('simulate', '', 'put a simulated Ollama behind it, to try things out without a GPU')}\
${flagLine('json', '', 'write the log as JSON lines on a terminal too')}
SIGHUP ends it as SIGTERM does when it runs in a terminal that is closed; a daemon writes it to its log and goes on.
Exit codes: 0 stopped as asked, 1 could not start or stop, 2 a setting is wrong, 130 stopped at once by a second signal.

Examples:
  foreman serve --simulate
  foreman serve --target gpu-box --addr :8080
  FOREMAN_OLLAMA_URL=http://gpu-box:11434 foreman serve
  FOREMAN_ADDR=:8080 FOREMAN_TOKEN=change-me foreman serve

Settings are environment variables. Durations: 30s, 1.5h, 250ms, a bare number is seconds. Sizes: 256KiB, 128MiB.

`

/** The table of settings, two lines each so that it fits 80 columns. */
export const serveHelp = (): string => {
  const rows = Object.values(settings).map((setting) => {
    const fallback = setting.fallbackShown ?? (setting.fallback === '' ? '-' : setting.fallback)
    return `  ${setting.variable.padEnd(32)}default: ${fallback}\n      ${setting.meaning}\n`
  })
  return head + rows.join('')
}

/** The command over what it starts; `main.ts` passes the real daemon, lazily, because help must not load it. */
export const createServeCommand = (load: () => Promise<ServeDeps>): Command => ({
  help: serveHelp(),
  async run(args, io) {
    const flags = readFlags(args, flagTypes, { io, help: serveHelp() })
    if (flags.kind === 'exit') return flags.code
    const loaded = loadConfig(io.env, flags.values)
    if (loaded.kind === 'invalid') {
      for (const problem of loaded.problems) io.stderr.write(`foreman: ${problem}\n`)
      return exitCode.usage
    }
    const log = logFor(loaded.config, io, flags.values.json === true)
    io.onStrayError((error) => log.error('stray_error', { error }))
    for (const warning of loaded.warnings) log.warn('setting', { warning })
    const deps = await load()
    if (!flags.values.simulate) return runDaemon(deps, loaded.config, log, io)
    const simulator = await deps.startSimulator()
    try {
      const target = targetGiven(flags.values, io)
      if (target !== null) log.warn('setting', { warning: `${target} is set but --simulate takes its place` })
      log.info('simulating', { target: simulator.url })
      return await runDaemon(deps, { ...loaded.config, ollamaUrl: simulator.url }, log, io)
    } finally {
      await simulator.stop()
    }
  },
})

/** How a target was named that --simulate now takes the place of. */
const targetGiven = (flags: Flags, { env }: Io): string | null => {
  const { flag, variable } = settings.ollamaUrl
  if (flag && flags[flag[0]] !== undefined) return `--${flag[0]}`
  return env[variable] ? variable : null
}

/** 128 + SIGINT, what a shell reports for a process that a signal ended. */
const killed = 130

const runDaemon = async ({ startForeman }: ServeDeps, config: Config, log: Log, io: Io): Promise<number> => {
  const ended = Promise.withResolvers<number>()
  const stop = Promise.withResolvers<void>()
  let signals = 0
  const onStop = (signal: StopSignal | 'SIGHUP') => {
    signals += 1
    log.info(signals === 1 ? 'stopping' : 'killed', { signal })
    if (signals === 1) stop.resolve()
    else ended.resolve(killed)
  }
  io.onSignal(onStop)
  // A terminal that is closed takes its programs along; a daemon has none, and some administrator's habit must not end it.
  const isInTerminal = io.stdin.isTerminal || io.stdout.isTerminal || io.stderr.isTerminal
  io.onHangup(() => (isInTerminal ? onStop('SIGHUP') : log.info('hangup_ignored')))
  const started = await Promise.race([startForeman(config, { log, environment: io.env }), ended.promise])
  if (typeof started === 'number') return started
  if (started.kind === 'refused') {
    io.stderr.write(`foreman: ${started.message}\n`)
    return exitCode.no
  }
  log.info('serving', { url: started.url, target: config.ollamaUrl, data_dir: config.dataDir, version: io.version })
  const stopped = stop.promise.then(async () => {
    await started.stop()
    return exitCode.ok
  })
  const code = await Promise.race([stopped, ended.promise])
  if (code === killed) started.kill()
  return code
}

const logFor = (config: Config, io: Io, isJson: boolean): Log =>
  createLogger({
    level: config.logLevel,
    write: (line) => io.stdout.write(line),
    clock: io.clock,
    backlog: () => io.stdout.backlog,
    text: io.stdout.isTerminal && !isJson,
    secrets: secretsIn(config),
  })
