/** Whether the target can be reached and what it has; unreachable is a state here, never an error that loses work. */
import type { Clock } from '../domain/clock.ts'
import { type Absence, absenceWords } from '../domain/job/absence.ts'
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
  /** Why whoever manages it says that it is not fit to work, although something may answer; null = nobody says so. */
  readonly down: string | null
  /** Why it cannot be reached or is degraded, in words; null when all is well. */
  readonly reason: string | null
  /** Since when and why it cannot be reached; null while it can. */
  readonly absence: Absence | null
  /** Milliseconds of the clock at the last good poll. */
  readonly lastPollAt: number | null
  readonly version: string | null
  readonly inventory: Inventory
  /** The last answer of /api/tags, to the byte. */
  readonly tagsBody: Uint8Array | null
  /** The same of /api/ps. */
  readonly psBody: Uint8Array | null
}

export interface TargetState {
  readonly view: TargetView
  readonly residency: Residency
  update(polled: Partial<Omit<TargetView, 'reachable' | 'absence' | 'down'>>): void
  /** `isAnswered`: something answers in its place. `forMs`: how long it has said nothing by now. */
  unreached(message: string, noticed?: { readonly isAnswered?: boolean | undefined; readonly forMs?: number }): void
  /** Without effect while it is said to be down. */
  reached(): void
  /** It counts as away until `null`, which says only that it may be asked again. */
  declareDown(part: string, words: string | null): void
  /** For people: which target is away, since when and why. `message` is the why where nobody has noticed it before. */
  absenceWords(message: string): string
  /** `listener` runs on every change of reachability; the returned function ends that. */
  onReachability(listener: (reachable: boolean) => void): () => void
}

export interface TargetStateDeps {
  readonly emit: Emit
  readonly clock: Pick<Clock, 'now' | 'wallAt'>
  /** `http://gpu-box:11434`, for people. */
  readonly origin?: string | undefined
}

/** The state of one target. */
export const createTargetState = ({ emit, clock, origin = 'the target' }: TargetStateDeps): TargetState => {
  let view: TargetView = {
    reachable: true,
    degraded: false,
    hang: null,
    down: null,
    reason: null,
    absence: null,
    lastPollAt: null,
    version: null,
    inventory: new Map(),
    tagsBody: null,
    psBody: null,
  }
  const residency = createResidency()
  /** By part: it is back when none of them says so any more. */
  const declared = new Map<string, string>()
  const listeners = new Set<(reachable: boolean) => void>()
  const setAbsence = (absence: Absence | null) => {
    const reachable = absence === null
    view = { ...view, reachable, absence }
    for (const listener of [...listeners]) listener(reachable)
  }
  const unreached: TargetState['unreached'] = (said, { isAnswered = view.down !== null, forMs = 0 } = {}) => {
    // A target that went away may come back empty.
    residency.clear()
    const message = view.down ?? said
    const absence = { since: view.absence?.since ?? clock.now() - forMs, message, isAnswered }
    view = { ...view, degraded: true, reason: message }
    if (!view.reachable) {
      view = { ...view, absence }
      return
    }
    emit({ event: 'target_unreachable', message })
    setAbsence(absence)
  }
  return {
    get view() {
      return view
    },
    residency,
    update(polled) {
      view = { ...view, ...polled }
    },
    unreached,
    declareDown(part, words) {
      if (words === null) declared.delete(part)
      else declared.set(part, words)
      const [down = null] = declared.values()
      view = { ...view, down }
      if (down !== null) unreached(down)
    },
    reached() {
      if (view.reachable || view.down !== null) return
      emit({ event: 'target_reached', version: view.version })
      setAbsence(null)
    },
    absenceWords(message) {
      const absence = view.absence ?? { since: clock.now(), message, isAnswered: false }
      return absenceWords(origin, absence, clock.now(), clock.wallAt?.(absence.since) ?? absence.since)
    },
    onReachability(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
