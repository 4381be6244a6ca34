/** One foreman from its start to its end: Config in, a running daemon out, and an orderly way to stop it. */
import { type Composed, type ComposeOptions, compose } from './composition.ts'
import type { Config } from './config/config.ts'
import { dialledUrl } from './domain/address.ts'
import { selfProblem } from './engine/self.ts'
import { listenOn, type Server } from './http/listen.ts'

export interface StartOptions extends ComposeOptions {
  /** How long a running job may go on after `stop`; 10 s by default. */
  readonly graceMs?: number
}

export type Started =
  | {
      readonly kind: 'started'
      readonly url: string
      /** Drains and stops; everything that was acknowledged is on disk. Twice is harmless, and both wait. */
      stop(): Promise<void>
      /** Stops at once, as kill -9 would, but releases what this process holds. */
      kill(): void
    }
  | { readonly kind: 'refused'; readonly message: string }

const GRACE_MS = 10_000
// A settle that the disk refuses must not hold the exit for ever; a webhook cut off in its last moment would be told twice.
const STOP_MARGIN_MS = 500
// A webhook under way may end; one that hangs is still owed, and no reason to stay.
const TRY_GRACE_MS = 2_000

const refused = (message: string): Started => ({ kind: 'refused', message })
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Drains within the grace: the running jobs, what went past the queue and is still on its way, and webhooks. */
const drain = async (
  { engine, running, board, deliveries, clock, close }: Composed,
  server: Server,
  graceMs: number,
) => {
  const giveUp = new Promise<void>((resolve) => void clock.after(graceMs + STOP_MARGIN_MS, resolve))
  const until = clock.monotonicMs() + graceMs
  // The parts hear how the last jobs end.
  await Promise.race([engine.stop(graceMs).then(running.stop), giveUp])
  // Nobody is told more; and what the drain itself made happen is owed by now, and told after the next start.
  board.close()
  const leftMs = Math.min(TRY_GRACE_MS, Math.max(STOP_MARGIN_MS / 2, until - clock.monotonicMs()))
  await Promise.race([Promise.all([server.stop(), deliveries.stop(leftMs)]), giveUp])
  await server.stop(true)
  close()
}

/** Starts one foreman. Everything that a person did wrong comes back as one sentence. */
export const startForeman = async (config: Config, options: StartOptions): Promise<Started> => {
  const { log, graceMs = GRACE_MS } = options
  const made = await compose(config, options)
  if (made.kind === 'refused') return made
  const { life, engine, running, deliveries, app, close } = made
  const give = (message: string): Started => {
    close()
    return refused(message)
  }
  try {
    engine.recover()
  } catch (error) {
    return give(`the database in ${config.dataDir} cannot be written: ${messageOf(error)}`)
  }
  const { hostname, port } = config.addr
  const listening = listenOn(app, config.addr)
  if (listening.kind === 'refused') return give(listening.message)
  const { server } = listening
  life.port = server.port ?? port
  const problem = await selfProblem(made.target, made.instance, made.returned)
  if (problem !== null) {
    await server.stop(true)
    return give(`FOREMAN_OLLAMA_URL ${config.ollamaUrl} ${problem}: give it the address of an Ollama server`)
  }
  engine.start()
  deliveries.start()
  running.start()
  let stopping: Promise<void> | null = null
  return {
    kind: 'started',
    url: dialledUrl({ hostname, port: life.port }),
    stop() {
      life.draining = true
      if (stopping === null) log.info('draining', { grace_ms: graceMs })
      stopping ??= drain(made, server, graceMs).then(() => log.info('stopped'))
      return stopping
    },
    kill() {
      void server.stop(true)
      void deliveries.stop(0)
      close()
    },
  }
}
