/** The part that keeps models on the target: its row in the table of settings, its table, and how it is made. */
import { readAllWanted } from '../../domain/models/wanted.ts'
import type { SettingRows } from '../../domain/setting.ts'
import { definePart } from '../../engine/part.ts'
import { tables } from './store.ts'

const settings = {
  ensureModels: {
    variable: 'FOREMAN_ENSURE_MODELS',
    fallback: '',
    meaning: 'models that have to be on the target: pulled, or created from a Modelfile, when they are missing',
    allowed: 'model names separated by commas, such as qwen3:14b,mine=/etc/foreman/mine.Modelfile',
    parse: readAllWanted,
  },
} satisfies SettingRows

export const models = definePart({
  name: 'models',
  settings,
  tables,
  create: async (ports) => (await import('./part.ts')).createModels(ports),
})
