/** The engine with the fallback beside it, both on a virtual clock: a second target in memory that counts what it is asked. */
import type { Part, PartPorts } from '../../src/engine/part.ts'
import { parseModelMap } from '../../src/parts/fallback/models.ts'
import { createFallback } from '../../src/parts/fallback/part.ts'
import { parseClientPolicies } from '../../src/parts/fallback/policy.ts'
import type { FallbackSettings } from '../../src/parts/fallback/settings.ts'
import { type Bench, createBench } from './engine-bench.ts'
import { createVirtualTarget, type VirtualTarget } from './virtual-target.ts'

const read = <T>(parsed: { kind: 'ok'; value: T } | { kind: 'bad' }): T => {
  if (parsed.kind === 'bad') throw new Error('a setting of the test cannot be read')
  return parsed.value
}

/** What the part is told, but for what a test says. */
const settings: FallbackSettings = {
  fallbackUrl: 'http://laptop:11434',
  fallbackToken: null,
  fallbackModels: read(parseModelMap('*=same')),
  fallbackAfterMs: 5_000,
  fallbackConcurrency: 1,
  fallbackClients: read(parseClientPolicies('')),
}

export interface FallbackBench extends Bench {
  /** The fallback. */
  readonly laptop: VirtualTarget
  /** What it was asked to do. */
  worked(): number
  facts(): unknown
  noticed(name: string): readonly Readonly<Record<string, unknown>>[]
}

interface Options extends Omit<Parameters<typeof createBench>[0] & object, 'part' | 'openTarget'> {
  readonly fallback?: Partial<FallbackSettings>
  /** How long the fallback works on one. */
  readonly laptopMs?: number
}

/** Builds and starts both. */
export const createFallbackBench = ({ fallback, laptopMs = 0, ...options }: Options = {}): FallbackBench => {
  const made: { laptop?: VirtualTarget; part?: Part } = {}
  const part = (ports: PartPorts<never>) => {
    made.laptop = createVirtualTarget({ clock: ports.clock, workMs: laptopMs, parallel: 64 })
    made.part = createFallback({ ...ports, settings: { ...settings, ...fallback } })
    return made.part
  }
  const bench = createBench({
    ...options,
    part,
    openTarget: () => ({ send: (...sent) => laptop.send(...sent), close: () => undefined }),
  })
  const { laptop } = made as { laptop: VirtualTarget }
  return Object.assign(bench, {
    laptop,
    facts: () => made.part?.facts?.(),
    worked: () => laptop.seen.filter(({ isWork }) => isWork).length,
    noticed: (name: string) =>
      bench.eventsOf('noticed').flatMap((event) => (event.name === name ? [event.fields] : [])),
  })
}
