/** Which version of each model was seen last, so that a change is noticed across restarts too. */
import type { PartTables } from '../../engine/part.ts'

export const tables: readonly string[] = [
  `CREATE TABLE models_seen (
    model  TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL
  ) STRICT, WITHOUT ROWID`,
]

export const createSeen = ({ statement, write }: PartTables) => {
  const one = statement<{ digest: string }>('SELECT digest FROM models_seen WHERE model = ?1')
  const put = statement<unknown>(
    'INSERT INTO models_seen (model, digest) VALUES (?1, ?2) ON CONFLICT (model) DO UPDATE SET digest = ?2',
  )
  return {
    digestOf: (model: string): string | null => one.get(model)?.digest ?? null,
    see: (model: string, digest: string) => write('quick', () => void put.run(model, digest)),
  }
}
