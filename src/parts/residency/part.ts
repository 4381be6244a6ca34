/** Keeps the right models loaded in the right way: joins its habits, each in a file of its own, and tells of them. */
import type { Part, PartPorts } from '../../engine/part.ts'
import { type ContextPolicy, contextPolicy } from './context.ts'
import { createOptionReloads } from './reloads.ts'

export interface ResidencySettings {
  readonly numCtx: ContextPolicy | null
}

/** What there is to say; undefined where all is as it would be without the part. */
const told = (all: Readonly<Record<string, unknown>>): unknown => {
  const some = Object.entries(all).filter(([, said]) => said !== undefined)
  return some.length === 0 ? undefined : Object.fromEntries(some)
}

/** The part of one target. */
export const createResidencyPart = (ports: PartPorts<ResidencySettings>): Part => {
  const { settings, admission } = ports
  const reloads = createOptionReloads(ports)
  if (settings.numCtx !== null) admission.use(contextPolicy(settings.numCtx))
  return {
    start() {
      reloads.start()
    },
    async stop() {
      reloads.stop()
    },
    status() {
      const byOptions = reloads.told()
      return told({ option_reloads: byOptions.length > 0 ? byOptions : undefined })
    },
    metrics: () => [...reloads.metrics()],
  }
}
