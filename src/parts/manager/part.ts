/** Keeps an Ollama running and says how it does; switched off it does nothing at all. */
import { isLoopback } from '../../domain/address.ts'
import { modelOfKey } from '../../domain/wire/residency.ts'
import type { Part } from '../../engine/part.ts'
import { Health } from './health.ts'
import { Inference } from './inference.ts'
import { Keeper } from './keeper.ts'
import { createLadder, type LadderLimits, ladderLimits } from './ladder.ts'
import { greets, type ManagerPorts, serverOn } from './machine.ts'
import { createProcesses, type Processes } from './processes.ts'
import { createReliever } from './relief.ts'
import { GpuWatch } from './resources/gpu-watch.ts'
import { createResources, LOOK_EVERY_MS } from './resources/resources.ts'
import type { Server } from './server.ts'
import { factsOf, readingsOf, statusOf } from './shown.ts'
import { createTold } from './told.ts'

/** What a test brings in place of the machine's. */
export interface Given {
  readonly platform?: string
  readonly processes?: Processes
  readonly limits?: LadderLimits
  readonly server?: Server
  readonly isGpuBusy?: () => boolean
}

const idle: Part = { start: () => undefined, stop: async () => undefined }

/** Embeddings go on where generations hang: they are no evidence. */
const generates = ({ target }: ManagerPorts, { residencyKey }: { readonly residencyKey: string }): boolean => {
  const can = target.view().inventory.get(modelOfKey(residencyKey))?.capabilities ?? []
  return can.length === 0 || can.includes('completion')
}

/** Evidence comes with the jobs; the rest the keeper asks for. */
const listen = (ports: ManagerPorts, health: Health, keeper: Keeper, works: () => void) => {
  const stirring = ['job_loading', 'job_working', 'job_failed', 'job_cancelled', 'job_requeued'] as const
  const { bus } = ports
  const ends = stirring.map((kind) =>
    bus.on(kind, 'manager', (event) => {
      if (generates(ports, event)) health.stirred()
    }),
  )
  const done = bus.on('job_done', 'manager', (event) => {
    if (!generates(ports, event)) return
    health.completed()
    works()
  })
  const hangs = bus.on('noticed', 'manager', ({ name, fields }) => {
    if (name !== 'load_hangs' || fields['step'] !== 'restart') return
    keeper.trouble('load_hangs', `a load of ${String(fields['model'])} hangs, and nothing softer helped`)
  })
  return [...ends, done, hangs]
}

interface Near {
  readonly platform: string
  readonly processes: Processes
  readonly server: Server
}

/** What a server on this machine uses; where the system says nothing of processes, the cards alone. */
const resourcesOf = (ports: ManagerPorts, { platform, processes, server }: Near) => {
  const { environment, settings, target } = ports
  const port = Number(new URL(target.origin).port || 80)
  return createResources({
    ports,
    processes,
    // One that is adopted is whoever listens there.
    pid: () => server.pid ?? processes.listener(port)?.pid ?? null,
    gpus: new GpuWatch({
      platform,
      path: environment['PATH'] ?? '',
      psBody: () => target.view().psBody,
      everyMs: LOOK_EVERY_MS,
    }),
    limitBytes: settings.alertMemoryBytes,
  })
}

/** A model that does not fit is tried with less; its usual context is what the target had it loaded with last. */
const relieve = ({ relief, clock, settings, target }: ManagerPorts) => {
  const contexts = new Map<string, number>()
  target.onPolled(() => {
    for (const { canonical, contextLength } of target.residency().residents)
      if (contextLength !== null) contexts.set(canonical, contextLength)
  })
  relief.use(createReliever({ clock, allowsCpu: settings.oomCpu, contextOf: (model) => contexts.get(model) ?? null }))
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
  const isGpuBusy = given.isGpuBusy ?? (() => resources?.isGpuBusy() ?? false)
  const health = new Health({ target, quiet, inference, cpuTicks: () => server.cpuTicks(), isGpuBusy, clock })
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
  relieve(ports)
  const joined = { server, keeper, health, told, isReachable: () => target.view().reachable }
  // A server that is given is nowhere on this machine.
  const resources = isNear && given.server === undefined ? resourcesOf(ports, { platform, processes, server }) : null
  let ends: readonly (() => void)[] = []
  return {
    start() {
      ends = listen(ports, health, keeper, told.works)
      keeper.start()
      resources?.start()
    },
    async stop() {
      for (const end of ends) end()
      await Promise.all([keeper.stop(), resources?.stop()])
    },
    status: () => statusOf(manage, joined),
    metrics: () => [...readingsOf(joined), ...(resources?.metrics() ?? [])],
    facts: () => ({ ...factsOf(joined), ...resources?.facts() }),
  }
}
