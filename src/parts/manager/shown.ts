/** How the managed server stands, for health, status and metrics; it must never decide anything. */
import type { Reading } from '../../domain/reading.ts'
import type { Fact } from '../../engine/part.ts'
import type { Health } from './health.ts'
import type { Keeper } from './keeper.ts'
import type { Server } from './server.ts'
import type { Told } from './told.ts'

export interface Joined {
  readonly server: Server
  readonly keeper: Keeper
  readonly health: Health
  readonly told: Told
  /** Whether the target answered foreman's own last look. */
  readonly isReachable: () => boolean
}

const isRunning = ({ keeper, health, isReachable }: Joined): boolean =>
  keeper.standing.kind === 'running' && !health.isDown && isReachable()

export const readingsOf = (joined: Joined): readonly Reading[] => [
  {
    name: 'foreman_ollama_restarts_total',
    help: 'Tries to restart the managed Ollama',
    type: 'counter',
    samples: [{ value: joined.told.count }],
  },
  {
    name: 'foreman_ollama_probes_total',
    help: 'Questions asked to see whether Ollama does its work',
    type: 'counter',
    samples: [{ value: joined.health.report.inferences }],
  },
  {
    name: 'foreman_ollama_running',
    help: '1 while the managed Ollama runs and passes its judgements',
    type: 'gauge',
    samples: [{ value: isRunning(joined) ? 1 : 0 }],
  },
]

export const statusOf = (mode: string, { server, keeper, health, told }: Joined) => {
  const { standing } = keeper
  const { verdict, reason, latencyMs, inferences, failures } = health.report
  const last = told.lastRestart
  return {
    mode,
    state: standing.kind,
    words: 'words' in standing ? standing.words : null,
    pid: server.pid,
    health: verdict,
    reason,
    latency_ms: latencyMs === null ? null : Math.round(latencyMs),
    probes: inferences,
    failures,
    restarts: told.count,
    last_restart: last && {
      cause: last.cause,
      evidence: last.evidence,
      took_ms: Math.round(last.tookMs),
      ok: last.isOk,
    },
  }
}

/** Its judgements with their reasons, for GET /status. */
export const factsOf = (joined: Joined): Readonly<Record<string, Fact>> => {
  const { keeper, health, told } = joined
  const { standing } = keeper
  const { verdict, reason, latencyMs } = health.report
  const words = 'words' in standing ? standing.words : null
  const last = told.lastRestart
  return {
    // Where only the target's answer is missing, the reason is foreman's own.
    ollama_running: { value: isRunning(joined), ...(words !== null && { reason: words }) },
    health: { value: verdict, reason },
    latency_ms: { value: latencyMs === null ? null : Math.round(latencyMs) },
    restarts: { value: told.count, reason: last && `the last: ${last.cause}, because ${last.evidence}` },
  }
}
