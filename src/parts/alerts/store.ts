/** Which alerts were told as fired and not yet as resolved: kept, so that a restart in between owes nobody a "resolved". */
import type { Told } from '../../domain/alert/desk.ts'
import type { PartTables } from '../../engine/part.ts'

export const tables: readonly string[] = [
  `CREATE TABLE alerts_told (
    part    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    words   TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    told_at INTEGER NOT NULL,
    PRIMARY KEY (part, name)
  ) STRICT, WITHOUT ROWID`,
]

export const createToldStore = ({ statement, write }: PartTables) => {
  const all = statement<Told>('SELECT part, name, words, since, told_at AS toldAt FROM alerts_told')
  const clear = statement<unknown>('DELETE FROM alerts_told')
  const add = statement<unknown>(
    'INSERT INTO alerts_told (part, name, words, since, told_at) VALUES (?1, ?2, ?3, ?4, ?5)',
  )
  return {
    load: (): readonly Told[] => all.all(),
    /** A handful of rows at most, at most twenty times an hour. */
    save: (told: readonly Told[]) =>
      write('quick', () => {
        clear.run()
        for (const { part, name, words, since, toldAt } of told) add.run(part, name, words, since, toldAt)
      }),
  }
}
