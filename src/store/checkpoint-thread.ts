/** A thread's whole work: moves the log of a database into it when told to, on a connection of its own; it must never create a file. */
import { Database } from 'bun:sqlite'

/** `move`: what is written so far, whoever writes meanwhile. `empty`: all, and the log's space is given back; nobody may write meanwhile. */
export interface Order {
  readonly path: string
  readonly how: 'move' | 'empty'
}

/** What came of an order; a problem is what SQLite said. */
export interface Answer {
  readonly problem: string | null
}

const modes = { move: 'PASSIVE', empty: 'TRUNCATE' } as const

const obey = ({ path, how }: Order): Answer => {
  let db: Database | undefined
  try {
    // Opened anew for each order, 0.3 ms: whoever closes the database is the last to close it, and a file that was put in its place is not held.
    db = new Database(path, { readwrite: true, create: false, strict: true })
    db.run('PRAGMA synchronous = FULL')
    const done = db.query<{ busy: number }, []>(`PRAGMA wal_checkpoint(${modes[how]})`).get()
    return { problem: done?.busy === 1 ? 'busy' : null }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  } finally {
    db?.close()
  }
}

const thread = globalThis as unknown as Worker
thread.onmessage = ({ data }: MessageEvent<Order>) => thread.postMessage(obey(data))
