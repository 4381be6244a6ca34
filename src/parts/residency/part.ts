/** Keeps the right models loaded in the right way: joins its habits, each in a file of its own, and tells of them. */
import type { Part, PartPorts } from '../../engine/part.ts'
import { type ContextPolicy, contextPolicy, declaredContext } from './context.ts'
import { createPins } from './pins.ts'
import { createOptionReloads } from './reloads.ts'

export interface ResidencySettings {
  readonly pins: readonly string[]
  readonly numCtx: ContextPolicy | null
  readonly loadTimeoutMs: number
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
  const { loadTimeoutMs } = settings
  const pins = createPins({ ...ports, loadTimeoutMs }, settings.pins, (model) =>
    declaredContext(settings.numCtx, model),
  )
  if (settings.numCtx !== null) admission.use(contextPolicy(settings.numCtx))
  return {
    start() {
      reloads.start()
      pins?.start()
    },
    async stop() {
      reloads.stop()
      await pins?.stop()
    },
    status() {
      const byOptions = reloads.told()
      return told({ pins: pins?.told(), option_reloads: byOptions.length > 0 ? byOptions : undefined })
    },
    metrics: () => [...reloads.metrics(), ...(pins?.metrics() ?? [])],
  }
}
