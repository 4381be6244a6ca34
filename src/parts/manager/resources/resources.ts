/** Looks every ten seconds at what Ollama uses on this machine, raises what is trouble and gives the figures; it must never touch a process. */
import type { Reading } from '../../../domain/reading.ts'
import type { Fact } from '../../../engine/part.ts'
import { createLoop } from '../../../loop/loop.ts'
import type { ManagerPorts } from '../machine.ts'
import type { Processes } from '../processes.ts'
import type { Gpu } from './gpu.ts'
import type { GpuWatch } from './gpu-watch.ts'
import { type Judged, Rules } from './rules.ts'
import { type Usage, usageOf } from './usage.ts'

export const LOOK_EVERY_MS = 10_000
const MIB = 1024 ** 2
// What a card that only shows a picture stays under.
const GPU_BUSY_PERCENT = 5

export interface ResourcesDeps {
  readonly ports: Pick<ManagerPorts, 'alarm' | 'happened' | 'clock' | 'notice' | 'target'>
  readonly processes: Pick<Processes, 'all'>
  /** The server's; null while nobody knows it. */
  readonly pid: () => number | null
  readonly gpus: Pick<GpuWatch, 'start' | 'stop' | 'now'>
  /** 0 = none. */
  readonly limitBytes: number
}

/** The watch over one server's resources. */
export const createResources = ({ ports, processes, pid, gpus, limitBytes }: ResourcesDeps) => {
  const { alarm, happened, clock, notice, target } = ports
  const rules = new Rules(limitBytes)
  let usage: Usage | null = null
  let judged: Judged | null = null
  let cards: readonly Gpu[] = []

  const look = async () => {
    cards = gpus.now()
    const server = pid()
    usage = server === null ? null : usageOf(processes, server)
    if (usage === null) {
      judged = null
      return LOOK_EVERY_MS
    }
    judged = rules.judge({ ...usage, atMs: clock.monotonicMs(), isWorking: target.working().length > 0 })
    for (const name of ['memory', 'leak', 'cpu'] as const) alarm(name, judged[name])
    if (judged.oom_killed !== null) happened('oom_killed', judged.oom_killed)
    return LOOK_EVERY_MS
  }
  const failed = (error: unknown) => notice('error', 'resources_failed', { message: String(error) })
  const loop = createLoop({ name: 'resources', clock, body: look, failed, pauseMs: LOOK_EVERY_MS })

  const facts = (): Readonly<Record<string, Fact>> => ({
    memory_usage_mb: {
      value: usage && Math.round(usage.treeBytes / MIB),
      reason: judged?.memory ?? judged?.leak ?? null,
    },
    cpu_usage_percent: { value: judged?.cpuPercent ?? null, reason: judged?.cpu ?? null },
    uptime_seconds: { value: usage?.uptimeSeconds ?? null },
    gpu: { value: cards.length === 0 ? null : cards },
  })

  const gauge = (name: `foreman_${string}`, help: string, value: number | null | undefined): readonly Reading[] =>
    value === null || value === undefined ? [] : [{ name, help, type: 'gauge', samples: [{ value }] }]

  return {
    start() {
      gpus.start()
      loop.start()
    },
    async stop() {
      await Promise.all([loop.stop(), gpus.stop()])
    },
    facts,
    isGpuBusy: () => cards.some(({ utilizationPercent }) => (utilizationPercent ?? 0) >= GPU_BUSY_PERCENT),
    metrics: (): readonly Reading[] => [
      ...gauge('foreman_ollama_memory_bytes', 'Memory of Ollama and its runners', usage?.treeBytes),
      ...gauge(
        'foreman_ollama_cpu_percent',
        'Share of one processor that Ollama and its runners use',
        judged?.cpuPercent,
      ),
    ],
  }
}
