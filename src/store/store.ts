/** Everything that is kept, around one open database: what the engine, the courier and the routes use of it, put together once. */
import type { Clock } from '../domain/clock.ts'
import { openDataDirectory } from './data-directory.ts'
import { createLedger } from './ledger.ts'
import { createLine } from './line.ts'
import { createOutbox } from './outbox.ts'
import { createQueue } from './queue.ts'
import { createReader } from './reader.ts'
import { createSweep } from './sweep.ts'

export interface StoreOptions {
  readonly dataDir: string
  readonly maxQueue: number
  readonly clock: Clock
  /** Called after each committed change of a job; `mayOwe`: somebody may have to be told of it. */
  readonly changed: (jobId: string, mayOwe: boolean) => void
}

/** Opens the data directory for this process alone; what is wrong with it comes back as one sentence. */
export const openStore = ({ dataDir, maxQueue, clock, changed }: StoreOptions) => {
  const opened = openDataDirectory(dataDir)
  if (opened.kind === 'refused') return opened
  const { db, warnings, isInPlace, close } = opened
  const ledger = createLedger(db, clock, isInPlace)
  const line = createLine(db)
  return {
    kind: 'opened' as const,
    queue: createQueue({ db, ledger, maxQueue, changed, line }),
    line,
    reader: createReader(db),
    outbox: createOutbox({ db, ledger }),
    sweep: createSweep({ db, ledger, clock }),
    /** What is not as it should be, but can be lived with. */
    warnings,
    isWritable: ledger.isWritable,
    isInPlace,
    close,
  }
}
