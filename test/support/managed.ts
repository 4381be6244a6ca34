/** A manager beside the real engine on a virtual clock, over a server that a test makes live, hang, die and refuse; no process, no wait. */
import type { EngineConfig } from '../../src/engine/engine.ts'
import type { Part, PartPorts } from '../../src/engine/part.ts'
import { createManager } from '../../src/parts/manager/part.ts'
import type { Begun, Server } from '../../src/parts/manager/server.ts'
import { type Bench, createBench } from './engine-bench.ts'
import type { Plan, Seen } from './virtual-target.ts'

export interface World {
  readonly bench: Bench
  readonly part: () => Part
  /** Moments of its starts, in virtual milliseconds. */
  readonly starts: number[]
  /** Lists are answered, generations never. */
  hangs: boolean
  /** How it comes up: it lives, dies at once, or the try itself comes to something else. */
  next: 'lives' | 'dies' | Begun
  /** Its processes use the processor; null = they cannot be seen. */
  computes: boolean | null
  isGpuBusy: boolean
  /** What else the target does. */
  script: (seen: Seen) => Plan | undefined
  /** It ends, as by a kill. */
  die(): void
  /** The fields of all notices of this name. */
  noticed(name: string): Readonly<Record<string, unknown>>[]
  /** Alarms raised and resolved, by name. */
  alarms(name: string): string[]
  /** Inferences that the manager asked for. */
  probes(): readonly Seen[]
}

export interface WorldOptions {
  readonly manage?: 'adopt' | 'own'
  readonly config?: Partial<EngineConfig>
  readonly loadMs?: number
  readonly workMs?: number
  /** What `/api/ps` says of each model; for ever unless given. */
  readonly expiresAt?: string
  readonly isTransferring?: () => boolean
}

const FOR_EVER = '2319-03-03T00:00:00Z'
const isGeneration = (path: string) => path === '/api/generate' || path === '/api/chat'

/** `origin` is what the target's address looks like to the manager. */
export const createWorld = (options: WorldOptions = {}, origin = 'http://127.0.0.1:11434'): World => {
  const { manage = 'own', expiresAt = FOR_EVER } = options
  let isAlive = manage === 'adopt'
  let ended = () => {}
  let part: Part | undefined
  const begin = (): Begun => {
    world.starts.push(bench.clock.monotonicMs())
    if (typeof world.next === 'object') return world.next
    isAlive = world.next === 'lives'
    world.hangs = false
    bench.target.awake = isAlive
    bench.target.resident = null
    bench.target.cut()
    return { kind: 'begun', how: manage === 'own' ? 'started' : 'commanded' }
  }
  const server: Server = {
    pid: 4711,
    lookEveryMs: 5_000,
    async begin() {
      // The bench is made by now.
      await null
      return manage === 'own' ? begin() : { kind: 'begun', how: 'taken up' }
    },
    restart: async () => begin(),
    hasEnded: () => (manage === 'own' ? !isAlive : null),
    isAnswering: () => true,
    upkeep: () => undefined,
    lastWords: () => 'killed',
    cpuTicks: () => (world.computes === null ? null : world.computes ? Math.floor(bench.clock.monotonicMs() / 10) : 7),
    onEnd(listener) {
      ended = listener
    },
  }
  const settings = {
    manage,
    ollamaBin: null,
    ollamaEnvFile: null,
    ollamaRestartCommand: null,
    alertMemoryBytes: 0,
    oomCpu: false,
  }
  const made = (ports: PartPorts<never>): Part => {
    const { isTransferring = ports.target.isTransferring } = options
    const target = { ...ports.target, origin, isTransferring }
    part = createManager({ ...ports, settings, target }, { server, isGpuBusy: () => world.isGpuBusy })
    return part
  }
  const bench = createBench({ ...options, part: made })
  bench.target.script = (seen) => {
    if (seen.path === '/api/ps') {
      const models = [bench.target.resident, ...bench.target.alsoResident].filter((key) => key !== null)
      const list = models.map((key) => ({ name: key.split('@')[0], expires_at: expiresAt, context_length: 4_096 }))
      return { kind: 'ok', afterMs: 0, text: JSON.stringify({ models: list }) }
    }
    if (world.hangs && isGeneration(seen.path)) return { kind: 'hang' }
    return world.script(seen)
  }
  const world: World = {
    bench,
    part: () => part as Part,
    starts: [],
    hangs: false,
    next: 'lives',
    computes: true,
    isGpuBusy: false,
    script: () => undefined,
    die() {
      isAlive = false
      bench.target.awake = false
      bench.target.resident = null
      bench.target.cut()
      ended()
    },
    noticed: (name) => bench.eventsOf('noticed').flatMap((event) => (event.name === name ? [event.fields] : [])),
    alarms: (name) => bench.eventsOf('alarm').flatMap((event) => (event.name === name ? [event.state] : [])),
    probes: () => bench.target.seen.filter(({ body }) => body.includes('"prompt":"test"')),
  }
  return world
}
