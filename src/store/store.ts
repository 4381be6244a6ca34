/** Everything that is kept, around one open database: what the engine, the courier and the routes use of it, put together once. */
import type { SQLQueryBindings } from 'bun:sqlite'
import type { Clock } from '../domain/clock.ts'
import { createBodies } from './bodies.ts'
import { createCalls } from './calls.ts'
import { openDataDirectory } from './data-directory.ts'
import { createLedger } from './ledger.ts'
import { createLine } from './line.ts'
import { createLog, syncLog } from './log.ts'
import type { PartSchema } from './migrate.ts'
import { createOutbox } from './outbox.ts'
import { createQueue } from './queue.ts'
import { createReader } from './reader.ts'
import { createSteadyClock } from './steady-clock.ts'
import { createSweep } from './sweep.ts'
import { withCalls } from './waiting-reader.ts'

export interface StoreOptions {
  readonly dataDir: string
  readonly maxQueue: number
  /** The machine's. */
  readonly clock: Clock
  /** Called after each committed change of a job; `mayOwe`: somebody may have to be told of it. */
  readonly changed: (jobId: string, mayOwe: boolean) => void
  /** The parts that own tables. */
  readonly parts?: readonly PartSchema[]
}

type OpenedDirectory = Extract<ReturnType<typeof openDataDirectory>, { kind: 'opened' }>

const storeIn = (opened: OpenedDirectory, { maxQueue, clock: machine, changed }: StoreOptions) => {
  const { db, path, warnings, isInPlace } = opened
  const log = createLog({ db, path, clock: machine, isInPlace })
  const ledger = createLedger(db, machine, isInPlace, log)
  const clock = createSteadyClock({ db, ledger, clock: machine })
  const { wallAt } = clock
  const calls = createCalls()
  const line = createLine(db, calls)
  const bodies = createBodies({ db, ledger, syncLog: () => syncLog(path) })
  return {
    kind: 'opened' as const,
    /** What every due time, age and time to live is counted in. */
    clock,
    queue: createQueue({ db, ledger, maxQueue, changed, line, calls, bodies }),
    line,
    reader: withCalls(createReader(db, wallAt), calls, wallAt),
    outbox: createOutbox({ db, ledger, clock, wallAt }),
    sweep: createSweep({ db, ledger, clock, log, bodies }),
    /** For the parts that own tables. */
    tables: { statement: <Row>(sql: string) => db.query<Row, SQLQueryBindings[]>(sql), write: ledger.write },
    /** What is not as it should be, but can be lived with. */
    warnings,
    isWritable: ledger.isWritable,
    isInPlace,
    close() {
      // What was noted last would else be an unfinished call at the next start.
      ledger.commit()
      log.close()
      opened.close()
    },
  }
}

export type Store = ReturnType<typeof storeIn>

/** Opens the data directory for this process alone; what is wrong with it comes back as one sentence. */
export const openStore = (options: StoreOptions) => {
  const opened = openDataDirectory(options.dataDir, options.parts)
  if (opened.kind === 'refused') return opened
  try {
    return storeIn(opened, options)
  } catch (error) {
    opened.close()
    const why = error instanceof Error ? error.message : String(error)
    return { kind: 'refused' as const, message: `the database in ${options.dataDir} cannot be written: ${why}` }
  }
}
