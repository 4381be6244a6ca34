/** Keeps an Ollama running and says how it does; switched off it does nothing at all. */
import { isLoopback } from '../../domain/address.ts'
import type { Reading } from '../../domain/reading.ts'
import type { Part } from '../../engine/part.ts'
import { Health } from './health.ts'
import { Inference } from './inference.ts'
import { Keeper } from './keeper.ts'
import { createLadder, type LadderLimits, ladderLimits } from './ladder.ts'
import { greets, type ManagerPorts, serverOn } from './machine.ts'
import { createProcesses, type Processes } from './processes.ts'
import type { Server } from './server.ts'
import { createTold, type Told } from './told.ts'

/** What a test brings in place of the machine's. */
export interface Given {
  readonly platform?: string
  readonly processes?: Processes
  readonly limits?: LadderLimits
  readonly server?: Server
}

const idle: Part = { start: () => undefined, stop: async () => undefined }

/** Evidence comes with the jobs; the rest the keeper asks for. */
const listen = ({ bus }: ManagerPorts, health: Health, keeper: Keeper, works: () => void) => {
  const stirring = ['job_loading', 'job_working', 'job_failed', 'job_cancelled', 'job_requeued'] as const
  const ends = stirring.map((kind) => bus.on(kind, 'manager', () => health.stirred()))
  const done = bus.on('job_done', 'manager', () => {
    health.completed()
    works()
  })
  const hangs = bus.on('noticed', 'manager', ({ name, fields }) => {
    if (name !== 'load_hangs' || fields['step'] !== 'restart') return
    keeper.trouble('load_hangs', `a load of ${String(fields['model'])} hangs, and nothing softer helped`)
  })
  return [...ends, done, hangs]
}

interface Joined {
  readonly server: Server
  readonly keeper: Keeper
  readonly health: Health
  readonly told: Told
}

const readingsOf = ({ keeper, health, told }: Joined): readonly Reading[] => [
  {
    name: 'foreman_ollama_restarts_total',
    help: 'Tries to restart the managed Ollama',
    type: 'counter',
    samples: [{ value: told.count }],
  },
  {
    name: 'foreman_ollama_probes_total',
    help: 'Questions asked to see whether Ollama does its work',
    type: 'counter',
    samples: [{ value: health.report.inferences }],
  },
  {
    name: 'foreman_ollama_running',
    help: '1 while the managed Ollama runs and passes its judgements',
    type: 'gauge',
    samples: [{ value: keeper.standing.kind === 'running' && !health.isDown ? 1 : 0 }],
  },
]

const statusOf = (mode: string, { server, keeper, health, told }: Joined) => {
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

/** The manager of one target; off, it is nothing. */
export const createManager = (ports: ManagerPorts, given: Given = {}): Part => {
  const { settings, target, quiet, clock, notice } = ports
  const { manage } = settings
  if (manage === 'off') return idle
  const { platform = process.platform, processes = createProcesses(), limits = ladderLimits } = given
  const server = given.server ?? serverOn({ platform, processes }, ports)
  const isNear = isLoopback(new URL(target.origin).hostname)
  const inference = new Inference({ target, clock, isNear })
  const health = new Health({ target, quiet, inference, cpuTicks: () => server.cpuTicks(), clock })
  const told = createTold(ports)
  const keeper = new Keeper({
    server,
    health,
    ladder: createLadder(limits),
    told,
    answers: greets(ports),
    isTransferring: target.isTransferring,
    clock,
    failed: (error) => notice('error', 'manager_failed', { error }),
  })
  let ends: readonly (() => void)[] = []
  return {
    start() {
      ends = listen(ports, health, keeper, told.works)
      keeper.start()
    },
    async stop() {
      for (const end of ends) end()
      await keeper.stop()
    },
    status: () => statusOf(manage, { server, keeper, health, told }),
    metrics: () => readingsOf({ server, keeper, health, told }),
  }
}
