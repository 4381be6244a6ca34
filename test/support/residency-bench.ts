/** The residency part beside the real engine on a virtual clock, with everything off that a test does not set. */
import type { EngineEvent } from '../../src/domain/job/events.ts'
import type { PartPorts } from '../../src/engine/part.ts'
import { parseContextPolicy } from '../../src/parts/residency/context.ts'
import { createResidencyPart, type ResidencySettings } from '../../src/parts/residency/part.ts'
import { type Bench, createBench } from './engine-bench.ts'

const off: ResidencySettings = { pins: [], numCtx: null, idleUnloadMs: 0, loadTimeoutMs: 600_000, requireGpu: false }

/** A policy as the setting is written. */
export const contexts = (text: string): ResidencySettings['numCtx'] => {
  const parsed = parseContextPolicy(text)
  if (parsed.kind === 'bad') throw new Error(parsed.problem)
  return parsed.value
}

export interface ResidencyBench extends Bench {
  status(): unknown
  facts(): unknown
  /** Fields of the notices of this name. */
  noticed(name: string): Readonly<Record<string, unknown>>[]
  metric(name: string): unknown
}

/** Builds and starts both. */
export const createResidencyBench = (
  settings: Partial<ResidencySettings>,
  options: Parameters<typeof createBench>[0] = {},
): ResidencyBench => {
  let made: ReturnType<typeof createResidencyPart> | undefined
  const part = (ports: PartPorts<never>) => {
    made = createResidencyPart({ ...ports, settings: { ...off, ...settings } })
    return made
  }
  const bench = createBench({ ...options, part })
  const isOf = (name: string) => (event: EngineEvent) => event.event === 'noticed' && event.name === name
  return Object.assign(bench, {
    status: () => made?.status?.(),
    facts: () => made?.facts?.(),
    noticed: (name: string) => bench.events.filter(isOf(name)).map((event) => ('fields' in event ? event.fields : {})),
    metric: (name: string) => made?.metrics?.().find((reading) => reading.name === name)?.samples,
  })
}
