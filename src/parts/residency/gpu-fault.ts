/** FOREMAN_REQUIRE_GPU: a model on the CPU is a fault of the target, which counts as down until a fresh load is on the GPU again; it must never try without a pause. */
import { displayNameOf } from '../../domain/wire/model-name.ts'
import type { PartPorts } from '../../engine/part.ts'
import { doubled } from './calm.ts'

export interface GpuFault {
  /** This model has lost it. */
  raise(canonicalModel: string, words: string): void
  stop(): void
}

interface FaultPorts extends Pick<PartPorts<never>, 'clock' | 'notice' | 'target'> {
  readonly numCtxOf: (canonicalModel: string) => number | null
  readonly loadTimeoutMs: number
  /** The model has been loaded anew, and is what /api/ps says now; true when it is as it should be. */
  readonly isWell: (canonicalModel: string) => boolean
  /** Raises for what is on the CPU now. */
  readonly look: () => void
}

const TRY_FIRST_MS = 60_000
// Whoever waited for it is next, and says how long it stays.
const KEEP_SECONDS = 300
// One that has been well for so long begins anew.
const WELL_MS = 3_600_000

/** Nothing is wrong. */
export const createGpuFault = ({
  clock,
  notice,
  target,
  numCtxOf,
  loadTimeoutMs,
  isWell,
  look,
}: FaultPorts): GpuFault => {
  const halt = new AbortController()
  let down: { readonly model: string; readonly words: string } | null = null
  let cancel = () => {}
  let tries = 0
  let endedAtMs = Number.NEGATIVE_INFINITY

  const reload = async (model: string) => {
    const late = new AbortController()
    const cancelLate = clock.after(loadTimeoutMs, () => late.abort())
    await target.unload(model, halt.signal)
    const wish = { model, numCtx: numCtxOf(model), keepAlive: KEEP_SECONDS }
    const loaded = await target.load(wish, AbortSignal.any([halt.signal, late.signal]))
    cancelLate()
    return loaded === 'loaded'
  }

  const attempt = async () => {
    if (down === null || halt.signal.aborted) return
    const { model, words } = down
    tries++
    const { inventory } = target.view()
    const isGone = inventory.size > 0 && !inventory.has(model)
    const isLoaded = isGone || (await reload(model))
    if (halt.signal.aborted) return
    const hasWorked = isLoaded && isWell(model)
    notice(hasWorked ? 'info' : 'warn', 'gpu_retried', { model: displayNameOf(model), tries, has_worked: hasWorked })
    if (!hasWorked) return later()
    down = null
    endedAtMs = clock.monotonicMs()
    // Another model may have lost it too.
    look()
    // Somebody else may have a reason of his own by now.
    if (target.view().down === words) target.declareDown(null)
  }
  const later = () => {
    cancel = clock.after(doubled(TRY_FIRST_MS, tries + 1), () => void attempt())
  }

  return {
    raise(model, words) {
      if (down !== null || halt.signal.aborted) return
      if (clock.monotonicMs() - endedAtMs > WELL_MS) tries = 0
      down = { model, words }
      target.declareDown(words)
      later()
    },
    stop() {
      halt.abort()
      cancel()
    },
  }
}
