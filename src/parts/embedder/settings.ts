/** The settings of the part that keeps an embedding model warm. */
import { bad, ok, optional } from '../../domain/readers.ts'
import type { SettingRows } from '../../domain/setting.ts'
import { canonicalName } from '../../domain/wire/model-name.ts'

export const embedderSettings = {
  embedModel: {
    variable: 'FOREMAN_EMBED_MODEL',
    fallback: '',
    meaning: 'embedding model kept warm beside the worker model',
    allowed: 'a model name such as nomic-embed-text',
    parse: optional((text) => (canonicalName(text) === null ? bad() : ok(text))),
  },
} satisfies SettingRows
