/** OpenAI's lists of models, made of an answer of /api/tags as Ollama makes them of the same files; it must never name a model that is not in it. */
import { canonicalName, parseModelName } from './model-name.ts'

interface Listed {
  readonly name: string
  readonly modifiedAt: string
}

const listedIn = (tagsBody: Uint8Array): Listed[] => {
  const tags: unknown = JSON.parse(new TextDecoder().decode(tagsBody))
  const models: unknown = Object(tags).models
  if (!Array.isArray(models)) return []
  return models.flatMap((model: unknown) => {
    const { name, modified_at } = Object(model) as { name?: unknown; modified_at?: unknown }
    return typeof name === 'string' ? [{ name, modifiedAt: typeof modified_at === 'string' ? modified_at : '' }] : []
  })
}

const entry = (id: string, { name, modifiedAt }: Listed) => {
  const parsed = parseModelName(name)
  const created = Math.floor(Date.parse(modifiedAt) / 1_000)
  return {
    id,
    object: 'model',
    created: Number.isNaN(created) ? 0 : created,
    owned_by: parsed.kind === 'name' ? parsed.name.namespace : 'library',
  }
}

const encoded = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value)}\n`)

/** The body of GET /v1/models. */
export const modelList = (tagsBody: Uint8Array): Uint8Array =>
  encoded({ object: 'list', data: listedIn(tagsBody).map((model) => entry(model.name, model)) })

/** The body of GET /v1/models/ID, which echoes the name as it was asked for; null when the model is not there. */
export const modelOf = (tagsBody: Uint8Array, asked: string): Uint8Array | null => {
  const canonical = canonicalName(asked)
  const model = listedIn(tagsBody).find(({ name }) => canonicalName(name) === canonical)
  return canonical === null || model === undefined ? null : encoded(entry(asked, model))
}
