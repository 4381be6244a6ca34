/** Keeps the right models loaded in the right way: joins its habits, each in a file of its own, and tells of them. */
import type { Fact, Part, PartPorts } from '../../engine/part.ts'
import { type ContextPolicy, contextPolicy, declaredContext } from './context.ts'
import { createGpuWatch } from './gpu.ts'
import { createGpuFault } from './gpu-fault.ts'
import { createIdleUnload } from './idle.ts'
import { createLoadLadder } from './load-ladder.ts'
import { pinsInWords } from './pin.ts'
import { createPins } from './pins.ts'
import { createOptionReloads } from './reloads.ts'

export interface ResidencySettings {
  readonly pins: readonly string[]
  readonly numCtx: ContextPolicy | null
  readonly idleUnloadMs: number
  readonly loadTimeoutMs: number
  readonly requireGpu: boolean
}

/** What there is to say; undefined where all is as it would be without the part. */
const told = (all: Readonly<Record<string, unknown>>): unknown => {
  const some = Object.entries(all).filter(([, said]) => said !== undefined)
  return some.length === 0 ? undefined : Object.fromEntries(some)
}

/** Whether models are on the GPU, and what FOREMAN_REQUIRE_GPU makes of one that is not. */
const createGpu = (ports: PartPorts<ResidencySettings>, numCtxOf: (model: string) => number | null) => {
  const { settings, target, bus } = ports
  const look = () => {
    const { residents, loadedKeys } = target.residency()
    const { inventory } = target.view()
    watch.seen(residents, loadedKeys)
    if (inventory.size === 0) return
    for (const model of watch.lost().keys()) if (!inventory.has(model)) watch.forget(model)
  }
  const isWell = (model: string) => {
    watch.forgive(model)
    look()
    return !watch.lost().has(model)
  }
  const fault = settings.requireGpu
    ? createGpuFault({ ...ports, numCtxOf, isWell, look, loadTimeoutMs: settings.loadTimeoutMs })
    : null
  const onLost = (model: string, words: string) => fault?.raise(model, words)
  const watch = createGpuWatch({ ...ports, isRequired: settings.requireGpu, onLost })
  let ends: (() => void)[] = []
  return {
    told: watch.told,
    metrics: watch.metrics,
    start() {
      const done = bus.on('job_done', 'residency', ({ model, usage, servedBy }) => {
        if (servedBy === undefined) watch.done(model, usage)
      })
      ends = [done, target.onPolled(look)]
    },
    stop() {
      fault?.stop()
      for (const end of ends) end()
    },
  }
}

/** The part of one target. */
export const createResidencyPart = (ports: PartPorts<ResidencySettings>): Part => {
  const { settings, admission, target } = ports
  const { loadTimeoutMs, idleUnloadMs: idleMs } = settings
  const numCtxOf = (model: string) => declaredContext(settings.numCtx, model)
  const reloads = createOptionReloads(ports)
  const ladder = createLoadLadder({ ...ports, loadTimeoutMs })
  const pins = createPins({ ...ports, loadTimeoutMs }, settings.pins, numCtxOf)
  const idle = createIdleUnload({ ...ports, isPinned: (model) => pins?.has(model) ?? false, idleMs })
  const gpu = createGpu(ports, numCtxOf)
  let unpolled = () => {}
  if (settings.numCtx !== null) admission.use(contextPolicy(settings.numCtx))
  return {
    start() {
      for (const habit of [reloads, pins, idle, gpu]) habit?.start()
      target.consult(ladder)
      unpolled = target.onPolled(() => ladder.seen(target.residency().residents.map(({ canonical }) => canonical)))
    },
    async stop() {
      unpolled()
      await Promise.all([reloads, pins, idle, gpu].map((habit) => habit?.stop()))
    },
    status() {
      const byOptions = reloads.told()
      return told({
        pins: pins?.told(),
        idle_unload: idle?.told(),
        load_hangs: ladder.told(),
        gpu_lost: gpu.told(),
        option_reloads: byOptions.length > 0 ? byOptions : undefined,
      })
    },
    facts(): Readonly<Record<string, Fact>> {
      const value = pins?.told()
      return value === undefined ? {} : { pins: { value, reason: pinsInWords(value) } }
    },
    metrics: () => [reloads, ladder, pins, idle, gpu].flatMap((habit) => habit?.metrics() ?? []),
  }
}
