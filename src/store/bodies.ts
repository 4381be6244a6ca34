/** Bodies too large for one row: written and read a piece a turn, so that 120 MB hold nobody up; half a body must never be anybody's. */
import type { Database } from 'bun:sqlite'
import type { Ledger } from './ledger.ts'

export interface BodyReader {
  /** The request of a job, or one of its artifacts; null when it is not large. */
  read(jobSeq: number, artifact: string | null): Promise<Uint8Array<ArrayBuffer> | null>
  sizeOf(jobSeq: number, artifact: string): number | null
  /** The same within one turn, for those that somebody wants whole in the middle of something else. */
  readNow(jobSeq: number, artifact: string): Uint8Array | null
}

/** A body that is on its way to its job. */
export interface Written {
  /** In the transaction that makes it the job's. */
  adopt(jobSeq: number): void
  /** It is the job's, or nobody's after all. */
  done(): void
}

export interface Bodies extends BodyReader {
  /** Writes what is too large for a row, before the row that has it. The same bytes are written once, as long as they are nobody's. */
  put(bytes: Uint8Array, artifact: string | null): Promise<Written>
  /** Deletes one piece of a body that nobody has. False when there is none. */
  sweep(): Promise<boolean>
}

export interface BodiesDeps {
  readonly db: Database
  readonly ledger: Pick<Ledger, 'write'>
  /** Puts the log on disk without holding the event loop, which would do it with the row that has the body. */
  readonly syncLog?: () => Promise<void>
}

/** A piece takes 2 to 5 ms to write. */
const PIECE_BYTES = 1024 ** 2
const PIECES_PER_SYNC = 8

export const isLarge = (bytes: Uint8Array | null): bytes is Uint8Array => bytes !== null && bytes.length > PIECE_BYTES

const breathe = (): Promise<void> => new Promise((go) => void setImmediate(go))

const bodyStatements = (db: Database) => ({
  begin: db.query('INSERT INTO large_bodies (size) VALUES (?1)'),
  insertPiece: db.query('INSERT INTO body_pieces (body_id, piece, bytes) VALUES (?1, ?2, ?3)'),
  adopt: db.query('UPDATE large_bodies SET job_seq = ?2, artifact = ?3 WHERE id = ?1'),
  orphans: db.query<{ id: number }, []>('SELECT id FROM large_bodies WHERE job_seq IS NULL'),
  // The last first, and the body with its first.
  last: db.query<{ piece: number | null }, [number]>('SELECT max(piece) AS piece FROM body_pieces WHERE body_id = ?1'),
  deletePiece: db.query('DELETE FROM body_pieces WHERE body_id = ?1 AND piece = ?2'),
  deleteBody: db.query('DELETE FROM large_bodies WHERE id = ?1'),
})

/** Reads the large bodies of one database. */
export const createBodyReader = (db: Database): BodyReader => {
  const find = db.query<{ id: number; size: number }, [number, string | null]>(
    'SELECT id, size FROM large_bodies WHERE job_seq = ?1 AND artifact IS ?2',
  )
  const pieceOf = db.query<{ bytes: Uint8Array }, [number, number]>(
    'SELECT bytes FROM body_pieces WHERE body_id = ?1 AND piece = ?2',
  )
  /** Copies one piece to its place; false when its job was swept meanwhile. */
  const copy = (bodyId: number, at: number, into: Uint8Array): boolean => {
    const piece = pieceOf.get(bodyId, at / PIECE_BYTES)
    if (piece !== null) into.set(piece.bytes, at)
    return piece !== null
  }

  return {
    sizeOf: (jobSeq, artifact) => find.get(jobSeq, artifact)?.size ?? null,
    async read(jobSeq, artifact) {
      const found = find.get(jobSeq, artifact)
      if (found === null) return null
      const bytes = new Uint8Array(found.size)
      for (let at = 0; at < found.size; at += PIECE_BYTES) {
        if (at > 0) await breathe()
        if (!copy(found.id, at, bytes)) return null
      }
      return bytes
    },
    readNow(jobSeq, artifact) {
      const found = find.get(jobSeq, artifact)
      if (found === null) return null
      const bytes = new Uint8Array(found.size)
      for (let at = 0; at < found.size; at += PIECE_BYTES) copy(found.id, at, bytes)
      return bytes
    },
  }
}

/** The large bodies of one database. */
export const createBodies = ({ db, ledger, syncLog = async () => undefined }: BodiesDeps): Bodies => {
  const sql = bodyStatements(db)
  // What is being written, or waits for the row that has it, is no orphan; after a start nothing is.
  const pending = new Set<number>()
  const written = new WeakMap<Uint8Array, number>()

  const write = async (bytes: Uint8Array): Promise<number> => {
    const bodyId = await ledger.write('quick', () => Number(sql.begin.run(bytes.length).lastInsertRowid))
    pending.add(bodyId)
    try {
      for (let piece = 0; piece * PIECE_BYTES < bytes.length; piece++) {
        const part = bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES)
        await ledger.write('quick', () => sql.insertPiece.run(bodyId, piece, part))
        if (piece % PIECES_PER_SYNC === PIECES_PER_SYNC - 1) await syncLog()
      }
      await syncLog()
      return bodyId
    } catch (error) {
      pending.delete(bodyId)
      throw error
    }
  }

  return {
    ...createBodyReader(db),
    async put(bytes, artifact) {
      const known = written.get(bytes)
      const bodyId = known !== undefined && pending.has(known) ? known : await write(bytes)
      written.set(bytes, bodyId)
      return {
        adopt: (jobSeq) => void sql.adopt.run(bodyId, jobSeq, artifact),
        done: () => void pending.delete(bodyId),
      }
    },
    async sweep() {
      const orphan = sql.orphans.all().find(({ id }) => !pending.has(id))
      if (orphan === undefined) return false
      await ledger.write('quick', () => {
        const piece = sql.last.get(orphan.id)?.piece ?? null
        if (piece !== null) sql.deletePiece.run(orphan.id, piece)
        if (piece === null || piece === 0) sql.deleteBody.run(orphan.id)
      })
      return true
    },
  }
}
