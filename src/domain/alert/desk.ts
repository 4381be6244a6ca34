/** Decides which alert is told next and when: one message for each change, a reminder, a bound an hour; it must never tell a "resolved" without its "fired". */

/** What somebody may be told of. */
export interface Subject {
  readonly part: string
  readonly name: string
  readonly words: string
}

/** One message; `since` is when it was raised, or when it happened. */
export interface Alert extends Subject {
  readonly state: 'fired' | 'resolved' | 'reminder' | 'happened'
  readonly since: number
}

/** An alert that was told as fired and not yet as resolved. */
export interface Told extends Subject {
  readonly since: number
  readonly toldAt: number
}

export type Next =
  | { readonly kind: 'alert'; readonly alert: Alert }
  /** Nothing is to be told before then; null = before something changes. */
  | { readonly kind: 'wait'; readonly until: number | null }

// Something that comes and goes more often than that is one trouble and not many.
export const CLEAR_MS = 60_000
export const REMIND_MS = 6 * 3_600_000
export const HOUR_MAX = 20
const HOUR_MS = 3_600_000
// What was raised before a restart has so long to be found again.
const FOUND_AGAIN_MS = 300_000
const HAPPENED_MAX = 20

interface Entry extends Subject {
  isRaised: boolean
  since: number
  /** When it is told as resolved if it stays away. */
  clearAt: number
  toldAt: number | null
  /** Its beginning is on its way, or was lost on it: the receiver may have it. */
  isDoubtful: boolean
}

const keyOf = ({ part, name }: Pick<Subject, 'part' | 'name'>): string => `${part} ${name}`

/** One desk; times are milliseconds of one clock. */
export class AlertDesk {
  readonly #entries = new Map<string, Entry>()
  readonly #happened: Alert[] = []
  /** When the last messages were sent, oldest first. */
  #sentAt: number[] = []

  /** `told`: what an earlier life has told as fired. */
  constructor(told: readonly Told[], now: number) {
    for (const one of told)
      this.#entries.set(keyOf(one), { ...one, isRaised: false, clearAt: now + FOUND_AGAIN_MS, isDoubtful: false })
  }

  raised(subject: Subject, now: number): void {
    const key = keyOf(subject)
    const known = this.#entries.get(key)
    const before = known ?? { since: now, toldAt: null, isDoubtful: false }
    this.#entries.set(key, { ...before, ...subject, isRaised: true, clearAt: 0 })
  }

  resolved(subject: Pick<Subject, 'part' | 'name'>, now: number): void {
    const entry = this.#entries.get(keyOf(subject))
    if (entry === undefined || !entry.isRaised) return
    if (entry.toldAt === null && !entry.isDoubtful) this.#entries.delete(keyOf(subject))
    entry.isRaised = false
    entry.clearAt = now + CLEAR_MS
  }

  /** What has no end; of more than can be told the oldest are dropped. */
  happened(subject: Subject, now: number): void {
    this.#happened.push({ ...subject, state: 'happened', since: now })
    if (this.#happened.length > HAPPENED_MAX) this.#happened.shift()
  }

  next(now: number): Next {
    this.#sentAt = this.#sentAt.filter((at) => at > now - HOUR_MS)
    const due = [...this.#entries.values()].map((entry) => ({ entry, at: dueAt(entry) })).sort((a, b) => a.at - b.at)
    const [first] = due
    const [happened] = this.#happened
    const isDue = first !== undefined && first.at <= now
    if (!isDue && happened === undefined) return { kind: 'wait', until: first?.at ?? null }
    const [oldest] = this.#sentAt
    if (oldest !== undefined && this.#sentAt.length >= HOUR_MAX) return { kind: 'wait', until: oldest + HOUR_MS }
    if (isDue) return { kind: 'alert', alert: alertOf(first.entry) }
    return { kind: 'alert', alert: happened as Alert }
  }

  /** It is on its way, and nobody knows yet what comes of it; the bound an hour counts tries. */
  sent(alert: Alert, now: number): void {
    this.#sentAt.push(now)
    const entry = this.#entries.get(keyOf(alert))
    if (entry !== undefined && alert.state === 'fired') entry.isDoubtful = true
  }

  /** The receiver does not have it, for sure. */
  refused(alert: Alert): void {
    const entry = this.#entries.get(keyOf(alert))
    if (entry === undefined || alert.state !== 'fired') return
    entry.isDoubtful = false
    if (!entry.isRaised) this.#entries.delete(keyOf(alert))
  }

  /** The receiver has taken it. */
  delivered(alert: Alert, now: number): void {
    if (alert.state === 'happened') {
      const at = this.#happened.indexOf(alert)
      if (at >= 0) this.#happened.splice(at, 1)
      return
    }
    const key = keyOf(alert)
    const entry = this.#entries.get(key)
    if (alert.state === 'resolved') {
      this.#entries.delete(key)
      // It came back while its end was told: that is told anew.
      if (entry?.isRaised) this.#entries.set(key, { ...entry, since: now, toldAt: null, isDoubtful: false })
      return
    }
    if (entry !== undefined) entry.toldAt = now
  }

  /** Those whose end is owed. */
  told(): readonly Told[] {
    return [...this.#entries.values()]
      .filter(({ toldAt, isDoubtful }) => toldAt !== null || isDoubtful)
      .map(({ part, name, words, since, toldAt }) => ({ part, name, words, since, toldAt: toldAt ?? since }))
  }
}

/** When something is to be said of it, if it stays as it is. */
const dueAt = ({ isRaised, since, clearAt, toldAt }: Entry): number => {
  if (!isRaised) return clearAt
  return toldAt === null ? since : toldAt + REMIND_MS
}

const alertOf = ({ part, name, words, since, isRaised, toldAt }: Entry): Alert => {
  const state = !isRaised ? 'resolved' : toldAt === null ? 'fired' : 'reminder'
  return { part, name, words, since, state }
}
