/** One loaded model and its NUM_PARALLEL slots; it must never decide when it is unloaded. */
import type { InstalledModel } from './model.ts'
import type { Departure } from './pulse.ts'
import type { RunnerOptions } from './runner-options.ts'

export interface Runner {
  readonly model: InstalledModel
  readonly options: RunnerOptions
  /** Requests that hold it, waiting ones included. */
  refs: number
  keepAliveMs: number
  /** Null until the first request on it has finished. */
  expiresAtMs: number | null
  cancelExpiry: () => void
  /** Told to make room; stays true when a later keep_alive undoes that. */
  evicted: boolean
  /** Crashed; noticed by the next request, which reloads. */
  dead: boolean
  /** Slots in use. */
  readonly running: number
  /** Waits for a slot, first come first served; false when the client left first. */
  slot(departure: Departure): Promise<boolean> | boolean
  leaveSlot(): void
}

/** A freshly loaded runner that nobody holds. */
export const createRunner = (
  model: InstalledModel,
  options: RunnerOptions,
  keepAliveMs: number,
  slots: number,
): Runner => {
  const waiting = new Set<() => void>()
  let free = slots
  return {
    model,
    options,
    refs: 0,
    keepAliveMs,
    expiresAtMs: null,
    cancelExpiry: () => undefined,
    evicted: false,
    dead: false,
    get running() {
      return slots - free
    },
    slot(departure) {
      if (departure.gone) return false
      if (free > 0) {
        free--
        return true
      }
      return new Promise((resolve) => {
        const forget = departure.onGone(() => {
          waiting.delete(enter)
          resolve(false)
        })
        const enter = () => {
          forget()
          resolve(true)
        }
        waiting.add(enter)
      })
    },
    leaveSlot() {
      const [next] = waiting
      if (next) {
        waiting.delete(next)
        next()
      } else free++
    },
  }
}
