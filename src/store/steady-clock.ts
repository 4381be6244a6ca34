/** The clock of a foreman: steady time that goes on across restarts, written down beside what is counted in it (ADR 0012). */
import type { Database } from 'bun:sqlite'
import type { Clock } from '../domain/clock.ts'
import { type Boot, createSteadyTime, type SteadyMark } from '../domain/steady-time.ts'
import type { Ledger } from './ledger.ts'

export interface SteadyClock extends Clock {
  /** What the wall clock showed at a steady time, for people. */
  wallAt(steadyMs: number): number
}

export interface SteadyClockDeps {
  readonly db: Database
  readonly ledger: Ledger
  /** The machine's. */
  readonly clock: Clock
}

// What is written later than the last mark would be in the future after a restart with a clock that was set back.
const MARK_EVERY_MS = 30_000
// Older events are shown with the oldest offset that is known.
const OFFSETS_MAX = 1_000

interface Offset {
  readonly sinceMs: number
  readonly offsetMs: number
}

const steadyStatements = (db: Database) => ({
  mark: db.query<{ steadyMs: number; id: string | null; ms: number | null }, []>(
    'SELECT steady_ms AS steadyMs, boot_id AS id, boot_ms AS ms FROM steady_time',
  ),
  offsets: db.query<Offset, []>(
    'SELECT since_ms AS sinceMs, offset_ms AS offsetMs FROM wall_offsets ORDER BY since_ms',
  ),
  setMark: db.query<
    unknown,
    [number, string | null, number | null]
  >(`INSERT INTO steady_time (id, steady_ms, boot_id, boot_ms)
    VALUES (1, ?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET steady_ms = excluded.steady_ms, boot_id = excluded.boot_id, boot_ms = excluded.boot_ms`),
  addOffset: db.query<unknown, [number, number]>(`INSERT INTO wall_offsets (since_ms, offset_ms) VALUES (?1, ?2)
    ON CONFLICT DO UPDATE SET offset_ms = excluded.offset_ms`),
  prune: db.query<unknown, []>(`DELETE FROM wall_offsets WHERE since_ms <
    (SELECT since_ms FROM wall_offsets ORDER BY since_ms DESC LIMIT 1 OFFSET ${OFFSETS_MAX - 1})`),
})

type SteadyStatements = ReturnType<typeof steadyStatements>

const readMark = (sql: SteadyStatements, offsets: readonly Offset[]): SteadyMark | null => {
  const row = sql.mark.get()
  if (row === null) return null
  const boot = row.id === null || row.ms === null ? null : { id: row.id, ms: row.ms }
  return { steadyMs: row.steadyMs, offsetMs: offsets.at(-1)?.offsetMs ?? 0, boot }
}

/** What the wall clock was ahead at each time, the newest last. */
const createOffsets = (known: Offset[]) => {
  const at = (steadyMs: number): number => {
    // Nearly always the last: the wall clock has never jumped.
    let i = known.length - 1
    while (i > 0 && (known[i]?.sinceMs ?? 0) > steadyMs) i--
    return known[i]?.offsetMs ?? 0
  }
  return {
    at,
    add(offset: Offset) {
      if (known.at(-1)?.sinceMs === offset.sinceMs) known.pop()
      known.push(offset)
      if (known.length > OFFSETS_MAX) known.shift()
    },
  }
}

/** The steady clock of one database, going on where the last one stood. */
export const createSteadyClock = ({ db, ledger, clock }: SteadyClockDeps): SteadyClock => {
  const sql = steadyStatements(db)
  const boot = (): Boot | null => clock.boot?.() ?? null
  const stored = sql.offsets.all()
  const reading = () => ({ wallMs: clock.now(), monotonicMs: clock.monotonicMs() })
  const steady = createSteadyTime(readMark(sql, stored), reading(), boot)
  const offsets = createOffsets(stored)
  let offsetMs = stored.at(-1)?.offsetMs ?? null
  let markedMs = 0
  let writesAtMark = 0

  /** Writes the mark, and the offset if it is a new one; it runs in a transaction. */
  const write = (steadyMs: number, offset: number | null) => {
    const since = boot()
    sql.setMark.run(steadyMs, since?.id ?? null, since?.ms ?? null)
    if (offset === null) return
    sql.addOffset.run(steadyMs, offset)
    sql.prune.run()
  }
  const mark = (steadyMs: number): (() => void) => {
    const isNew = steady.offsetMs !== offsetMs
    if (isNew) offsets.add({ sinceMs: steadyMs, offsetMs: steady.offsetMs })
    offsetMs = steady.offsetMs
    markedMs = steadyMs
    const offset = isNew ? steady.offsetMs : null
    return () => write(steadyMs, offset)
  }
  /** With the writes of this turn of the loop, and so not later than what is stamped with the time that it follows. */
  const markSoon = (steadyMs: number) => {
    writesAtMark = ledger.totals.writes + 1
    // A disk that is full takes the next one.
    ledger.write('quick', mark(steadyMs)).catch(() => undefined)
  }

  db.transaction(mark(steady.at(reading()))).immediate()
  return {
    monotonicMs: clock.monotonicMs,
    after: clock.after,
    wallAt: (steadyMs) => steadyMs + offsets.at(steadyMs),
    now() {
      const steadyMs = steady.at(reading())
      // Where nothing is written, nothing is counted: an idle foreman leaves the disk alone.
      const isDue = steadyMs - markedMs > MARK_EVERY_MS && ledger.totals.writes > writesAtMark
      if (isDue || steady.offsetMs !== offsetMs) markSoon(steadyMs)
      return steadyMs
    },
  }
}
