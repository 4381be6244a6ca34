/** Keeps the right models loaded in the right way: joins its habits, each in a file of its own, and tells of them. */
import type { Part, PartPorts } from '../../engine/part.ts'
import { type ContextPolicy, contextPolicy, declaredContext } from './context.ts'
import { createIdleUnload } from './idle.ts'
import { createLoadLadder } from './load-ladder.ts'
import { createPins } from './pins.ts'
import { createOptionReloads } from './reloads.ts'

export interface ResidencySettings {
  readonly pins: readonly string[]
  readonly numCtx: ContextPolicy | null
  readonly idleUnloadMs: number
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
  const ladder = createLoadLadder({ ...ports, loadTimeoutMs })
  const { target } = ports
  let unpolled = () => {}
  const pins = createPins({ ...ports, loadTimeoutMs }, settings.pins, (model) =>
    declaredContext(settings.numCtx, model),
  )
  const isPinned = (model: string) => pins?.has(model) ?? false
  const idle = createIdleUnload({ ...ports, isPinned, idleMs: settings.idleUnloadMs })
  if (settings.numCtx !== null) admission.use(contextPolicy(settings.numCtx))
  return {
    start() {
      reloads.start()
      pins?.start()
      idle?.start()
      target.consult(ladder)
      unpolled = target.onPolled(() => ladder.seen(target.residency().residents.map(({ canonical }) => canonical)))
    },
    async stop() {
      reloads.stop()
      unpolled()
      await Promise.all([pins?.stop(), idle?.stop()])
    },
    status() {
      const byOptions = reloads.told()
      return told({
        pins: pins?.told(),
        idle_unload: idle?.told(),
        load_hangs: ladder.told(),
        option_reloads: byOptions.length > 0 ? byOptions : undefined,
      })
    },
    metrics: () => [...reloads.metrics(), ...ladder.metrics(), ...(pins?.metrics() ?? []), ...(idle?.metrics() ?? [])],
  }
}
