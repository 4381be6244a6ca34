/** The part that keeps an embedding model warm: its rows in the table of settings, and how it is made. */
import { bad, ok, optional } from '../../domain/readers.ts'
import type { SettingRows } from '../../domain/setting.ts'
import { canonicalName } from '../../domain/wire/model-name.ts'
import { definePart } from '../../engine/part.ts'

const settings = {
  embedModel: {
    variable: 'FOREMAN_EMBED_MODEL',
    fallback: '',
    meaning: 'embedding model kept warm beside the worker model',
    allowed: 'a model name such as nomic-embed-text',
    parse: optional((text) => (canonicalName(text) === null ? bad() : ok(text))),
  },
} satisfies SettingRows

export const embedder = definePart({
  name: 'embedder',
  settings,
  create: async (ports) => (await import('./part.ts')).createEmbedder(ports),
})
