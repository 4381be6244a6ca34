/** A real foreman in this process on a free port, in a directory of its own; everything is gone when it is stopped. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config/config.ts'
import type { Clock } from '../../src/domain/clock.ts'
import type { PartPlan } from '../../src/engine/part.ts'
import { startForeman } from '../../src/foreman.ts'
import { createLogger } from '../../src/observe/log.ts'

export interface RunningForeman {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** JSON log lines so far. */
  readonly lines: readonly string[]
  /** Resolves with the first line of this event, past or future. */
  logged(event: string): Promise<Record<string, unknown>>
  stop(): Promise<void>
}

const parsed = (line: string): Record<string, unknown> => JSON.parse(line) as Record<string, unknown>

interface RunOptions {
  readonly graceMs?: number
  readonly clock?: Clock
  /** Parts in place of the list's. */
  readonly plans?: readonly PartPlan[]
}

/** Starts foreman in front of `targetUrl`. `env` holds more FOREMAN_* variables; `graceMs` is the drain's. */
export const runForeman = async (
  targetUrl: string,
  env: Record<string, string> = {},
  { graceMs = 2_000, clock = systemClock, plans }: RunOptions = {},
): Promise<RunningForeman> => {
  const dataDir = env['FOREMAN_DATA_DIR'] ?? mkdtempSync(join(tmpdir(), 'foreman-test-'))
  const loaded = loadConfig({
    FOREMAN_ADDR: '127.0.0.1:0',
    FOREMAN_OLLAMA_URL: targetUrl,
    FOREMAN_DATA_DIR: dataDir,
    FOREMAN_LOG_LEVEL: 'debug',
    ...env,
  })
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'))
  const lines: string[] = []
  let watchers: (() => void)[] = []
  const write = (line: string) => {
    lines.push(line)
    for (const watch of watchers) watch()
  }
  const log = createLogger({ level: loaded.config.logLevel, write, clock: systemClock, text: false })
  const started = await startForeman(loaded.config, { log, graceMs, clock, ...(plans && { plans }) })
  if (started.kind === 'refused') throw new Error(started.message)
  return {
    url: started.url,
    port: Number(new URL(started.url).port),
    dataDir,
    lines,
    logged: (event) =>
      new Promise((resolve) => {
        const look = () => {
          const line = lines.find((text) => text.includes(`"${event}"`))
          if (line === undefined) return
          watchers = watchers.filter((watch) => watch !== look)
          resolve(parsed(line))
        }
        watchers.push(look)
        look()
      }),
    async stop() {
      await started.stop()
      if (env['FOREMAN_DATA_DIR'] === undefined) rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
