/** Whether the target can be reached and what it has; unreachable is a state here, never an error that loses work. */
import type { Emit } from '../domain/job/events.ts'
import type { Inventory } from '../domain/wire/inventory.ts'
import { createResidency, type Residency } from './residency.ts'

export interface TargetView {
  /** Optimistic at start: nobody is turned away before the first poll. */
  readonly reachable: boolean
  /** The last poll failed; what is known is what the one before said. */
  readonly degraded: boolean
  /** Requests hang there although it answers: which, behind what; null = none that is known. */
  readonly hang: string | null
  /** Why it cannot be reached or is degraded, in words; null when all is well. */
  readonly reason: string | null
  /** Wall milliseconds of the last good poll. */
  readonly lastPollAt: number | null
  readonly version: string | null
  readonly inventory: Inventory
  /** The last answer of /api/tags, to the byte. */
  readonly tagsBody: Uint8Array | null
}

export interface TargetState {
  readonly view: TargetView
  readonly residency: Residency
  update(polled: Partial<Omit<TargetView, 'reachable'>>): void
  unreached(message: string): void
  reached(): void
  /** `listener` runs on every change of reachability; the returned function ends that. */
  onReachability(listener: (reachable: boolean) => void): () => void
}

/** The state of one target. */
export const createTargetState = (emit: Emit): TargetState => {
  let view: TargetView = {
    reachable: true,
    degraded: false,
    hang: null,
    reason: null,
    lastPollAt: null,
    version: null,
    inventory: new Map(),
    tagsBody: null,
  }
  const residency = createResidency()
  const listeners = new Set<(reachable: boolean) => void>()
  const setReachable = (reachable: boolean) => {
    view = { ...view, reachable }
    for (const listener of [...listeners]) listener(reachable)
  }
  return {
    get view() {
      return view
    },
    residency,
    update(polled) {
      view = { ...view, ...polled }
    },
    unreached(message) {
      // A target that went away may come back empty.
      residency.clear()
      view = { ...view, degraded: true, reason: message }
      if (!view.reachable) return
      emit({ event: 'target_unreachable', message })
      setReachable(false)
    },
    reached() {
      if (view.reachable) return
      emit({ event: 'target_reached', version: view.version })
      setReachable(true)
    },
    onReachability(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
