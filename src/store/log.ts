/** Keeps the write-ahead log short: a thread moves it into the database, so that no turn of the event loop waits for that (ADR 0026). */
import type { Database } from 'bun:sqlite'
import { open } from 'node:fs/promises'
import type { Clock } from '../domain/clock.ts'
import type { Order } from './checkpoint-thread.ts'
import { type LogThread, startLogThread } from './log-thread.ts'

/** What whoever writes must know of the log. */
export interface LogGate {
  /** After each transaction. */
  committed(): void
  /** Nothing may be written now; `opened` runs when something may again, `shut` when what was begun must be ended. */
  readonly isShut: boolean
  onOpen(opened: () => void): void
  onShut(shut: () => void): void
}

export interface Log extends LogGate {
  /** When there is nothing else to do: moves what is worth it and gives the space back, or else lets the thread go. */
  rest(): Promise<void>
  close(): void
}

export interface LogDeps {
  readonly db: Database
  readonly path: string
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly isInPlace: () => boolean
  /** Begins the thread; `gone` when it ends by itself. */
  readonly start?: (gone: () => void) => LogThread
}

/** Puts on disk what is in the log of the database at `path`, without holding the event loop. The log alone: closing the database would drop its locks. */
export const syncLog = async (path: string): Promise<void> => {
  const file = await open(`${path}-wal`, 'r+')
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}

export const openGate: LogGate = {
  committed: () => undefined,
  isShut: false,
  onOpen: () => undefined,
  onShut: () => undefined,
}

const MB = 1024 ** 2
// So much unmoved is worth a thread's while: a checkpoint of 4 MB takes it 10 ms, one of 16 MB 50.
const MOVE_BYTES = 4 * MB
// The log is begun anew when all of it is moved and nobody reads it. Beside steady writers that moment does not come by itself.
const RENEW_BYTES = 16 * MB
// Writers wait for a thread that does not keep up.
const SHUT_BYTES = 32 * MB
// What is left for a moment in which nobody writes is a few pages, unless writers are faster than the thread.
const REMAINDER_BYTES = MB
const PASSES_MAX = 4
// When nothing else is to be done.
const REST_BYTES = MB
/** Without a thread, and with one that hangs: then the event loop waits after all, which is better than a log without an end. */
const ownBytes = { without: 16 * MB, with: 48 * MB }
const RETRY_MS = 1_000
const RESTART_MS = 60_000

/** The thread, while there is one, and what the event loop does without it. */
const createKeeper = ({ db, path, clock, isInPlace, start = startLogThread }: LogDeps, pageBytes: number) => {
  let thread: LogThread | null = null
  let isClosed = false
  let notBeforeMs = -1
  const setOwn = (bytes: number) => {
    if (!isClosed) db.run(`PRAGMA wal_autocheckpoint = ${Math.ceil(bytes / pageBytes)}`)
  }
  const pause = (ms: number) => {
    notBeforeMs = Math.max(notBeforeMs, clock.monotonicMs() + ms)
  }
  const gone = () => {
    thread = null
    pause(RESTART_MS)
    setOwn(ownBytes.without)
  }
  const working = (): LogThread => {
    if (thread !== null) return thread
    thread = start(gone)
    setOwn(ownBytes.with)
    return thread
  }
  return {
    isReady: () => !isClosed && clock.monotonicMs() >= notBeforeMs,
    /** True when it was done. */
    async order(how: Order['how']): Promise<boolean> {
      if (isClosed || !isInPlace()) return false
      try {
        const answer = await working().order({ path, how })
        if (answer?.problem === null) return true
        pause(RETRY_MS)
      } catch {
        // No thread can be had here.
        gone()
      }
      return false
    },
    retire() {
      if (thread === null) return
      thread.end()
      thread = null
      setOwn(ownBytes.without)
    },
    close() {
      isClosed = true
      thread?.end()
    },
  }
}

/** The log of one open database. */
export const createLog = (deps: LogDeps): Log => {
  const { db } = deps
  const pageBytes = db.query<{ page_size: number }, []>('PRAGMA page_size').get()?.page_size ?? 4096
  const look = db.query<{ log: number; checkpointed: number }, []>('PRAGMA wal_checkpoint(NOOP)')
  const keeper = createKeeper(deps, pageBytes)
  let isMoving = false
  let isShut = false
  let opened: () => void = () => undefined
  let ended: () => void = () => undefined
  const shut = () => {
    isShut = true
    ended()
  }

  /** What is committed must not fail for a look that does: then nothing is moved for now. */
  const sizes = () => {
    try {
      const { log, checkpointed } = look.get() ?? { log: 0, checkpointed: 0 }
      return { bytes: log * pageBytes, leftBytes: (log - checkpointed) * pageBytes }
    } catch {
      return { bytes: 0, leftBytes: 0 }
    }
  }
  /** Moves until little is left, and the rest of a long log while nobody writes: the next write begins it anew. */
  const move = async () => {
    for (let pass = 0; pass < PASSES_MAX; pass++) {
      if (!(await keeper.order('move'))) return
      if (isShut || sizes().leftBytes <= REMAINDER_BYTES) break
    }
    const { bytes, leftBytes } = sizes()
    isShut = false
    if (bytes < RENEW_BYTES || leftBytes === 0) return
    shut()
    await keeper.order('move')
  }
  const empty = async () => {
    shut()
    await keeper.order('empty')
  }
  /** One at a time; what goes wrong is tried again, and never felt by who wrote. */
  const once = async (run: () => Promise<void>): Promise<void> => {
    if (isMoving || !keeper.isReady()) return
    isMoving = true
    await run()
    isMoving = false
    isShut = false
    opened()
  }

  return {
    get isShut() {
      return isShut
    },
    onOpen(run) {
      opened = run
    },
    onShut(run) {
      ended = run
    },
    committed() {
      // 1 us.
      const { bytes, leftBytes } = sizes()
      if (leftBytes >= MOVE_BYTES) void once(move)
      if (isMoving && bytes >= SHUT_BYTES) isShut = true
    },
    async rest() {
      if (isMoving || !keeper.isReady()) return
      if (sizes().leftBytes >= REST_BYTES) await once(empty)
      else keeper.retire()
    },
    close: keeper.close,
  }
}
