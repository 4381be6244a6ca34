/** What is wrong just now and a person should know: raised and resolved by the parts, told once for each change; it must never act. */
import type { Clock } from '../domain/clock.ts'
import type { Emit } from '../domain/job/events.ts'

export interface Alarm {
  readonly part: string
  readonly name: string
  /** A sentence for a person. */
  readonly words: string
  /** Milliseconds of the clock at which it was raised. */
  readonly since: number
}

/** One line of what happened lately. */
export interface AlarmNews extends Omit<Alarm, 'since'> {
  readonly state: 'raised' | 'resolved' | 'happened'
  readonly at: number
}

export interface Alarms {
  /** Raises an alarm with these words, or resolves it with null. What is so already is not told again; other words are taken without a word. */
  set(part: string, name: string, words: string | null): void
  /** What has no end of its own, as a restart has none. */
  happened(part: string, name: string, words: string): void
  /** Those that are raised, oldest first. */
  raised(): readonly Alarm[]
  /** The last changes, newest first. */
  lately(): readonly AlarmNews[]
}

const LATELY_MAX = 20

/** No alarms yet. */
export const createAlarms = (emit: Emit, clock: Pick<Clock, 'now'>): Alarms => {
  const raised = new Map<string, Alarm>()
  const lately: AlarmNews[] = []
  const tell = (part: string, name: string, state: AlarmNews['state'], words: string) => {
    lately.unshift({ part, name, words, state, at: clock.now() })
    lately.length = Math.min(lately.length, LATELY_MAX)
    emit({ event: 'alarm', part, name, state, words })
  }
  return {
    set(part, name, words) {
      const key = `${part} ${name}`
      const before = raised.get(key)
      if (words === null) {
        if (raised.delete(key)) tell(part, name, 'resolved', before?.words ?? '')
        return
      }
      raised.set(key, { part, name, words, since: before?.since ?? clock.now() })
      if (before === undefined) tell(part, name, 'raised', words)
    },
    happened: (part, name, words) => tell(part, name, 'happened', words),
    raised: () => [...raised.values()],
    lately: () => [...lately],
  }
}
