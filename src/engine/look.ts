/** Asks the target what it holds at this moment; it must never be believed when foreman loaded something meanwhile. */
import type { Clock } from '../domain/clock.ts'
import { type ResidentModel, residentsFrom } from '../domain/wire/inventory.ts'
import { askTarget } from './ask.ts'
import type { SendTarget } from './ports.ts'
import type { TargetState } from './state.ts'

// It answers from memory: whoever takes longer is not asked twice, and the next poll says it.
const LOOK_TIMEOUT_MS = 2_000
const REFRESH_EVERY_MS = 1_000

export type Look = () => Promise<readonly ResidentModel[] | null>

/** What /api/ps says, or null. */
export const createLook =
  (target: SendTarget): Look =>
  async () => {
    const asked = await askTarget(target, '/api/ps', { wholeTimeoutMs: LOOK_TIMEOUT_MS })
    return asked.kind === 'answered' ? residentsFrom(asked.json) : null
  }

export interface RefreshDeps {
  readonly look: Look
  readonly state: TargetState
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** Brings what is known of the residents up to date, at most once a second; callers at the same time share one question. */
export const createRefresh = ({ look, state, clock }: RefreshDeps): (() => Promise<void>) => {
  let askedAtMs = Number.NEGATIVE_INFINITY
  let asking: Promise<void> | null = null
  const refresh = async () => {
    const { residency } = state
    const before = residency.version
    const residents = await look()
    if (residents !== null && residency.version === before) residency.seen(residents)
  }
  return async () => {
    if (!state.view.reachable) return
    if (asking === null) {
      if (clock.monotonicMs() - askedAtMs < REFRESH_EVERY_MS) return
      askedAtMs = clock.monotonicMs()
      asking = refresh().finally(() => {
        asking = null
      })
    }
    await asking
  }
}
