/** A value that a JSON schema allows, as a well-behaved model would give one; it must never validate anything. */
import { type Bag, bag, bags, text } from './request-body.ts'

// Schemas may refer to themselves.
const DEPTH_MAX = 8
const ITEMS_MAX = 16

const formats: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00Z',
  time: '12:00:00Z',
  email: 'ada@example.com',
  uri: 'https://example.com',
  uuid: '3f2b8c1e-5d4a-4f6b-9a7c-0e1d2c3b4a59',
}

/** Capitalised words behind "in", "of", "to" or "for" are what a location, a city or a name is about. */
const mentioned = (prompt: string): string | undefined =>
  /\b(?:in|of|to|for|at|from)\s+(\p{Lu}[\p{L}'-]*(?:\s+\p{Lu}[\p{L}'-]*)*)/u.exec(prompt)?.[1]

const textFor = (schema: Bag, name: string, prompt: string): string => {
  const known = formats[text(schema.format)]
  if (known !== undefined) return known
  if (/city|location|place|town|country|name|destination/i.test(name)) return mentioned(prompt) ?? 'Paris'
  if (/query|question|prompt|text|input|message/i.test(name) && prompt !== '') return prompt.slice(0, 200)
  const said = name === '' ? 'an answer' : name.replaceAll('_', ' ')
  const least = typeof schema.minLength === 'number' ? Math.min(schema.minLength, 1000) : 0
  const padded = said.padEnd(least, '.')
  return typeof schema.maxLength === 'number' ? padded.slice(0, Math.max(0, schema.maxLength)) : padded
}

const numberFor = (schema: Bag): number => {
  const least = typeof schema.minimum === 'number' ? schema.minimum : undefined
  const above = typeof schema.exclusiveMinimum === 'number' ? schema.exclusiveMinimum + 1 : undefined
  const most = typeof schema.maximum === 'number' ? schema.maximum : Number.POSITIVE_INFINITY
  return Math.min(least ?? above ?? 1, most)
}

const typeOf = (schema: Bag): string => {
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type
  if (typeof type === 'string') return type
  if (schema.properties !== undefined) return 'object'
  return schema.items === undefined ? 'string' : 'array'
}

/** The schema that `$ref` names, or the schema itself. */
const resolved = (schema: Bag, root: Bag): Bag => {
  const path = text(schema.$ref)
  if (!path.startsWith('#/')) return schema
  return bag(
    path
      .slice(2)
      .split('/')
      .reduce<unknown>((at, name) => bag(at)[name], root),
  )
}

/** A value for `schema`; `prompt` is what it is about. */
export const sampleOf = (schema: Bag, prompt: string, { name = '', root = schema, depth = 0 } = {}): unknown => {
  const own = resolved(schema, root)
  if (depth > DEPTH_MAX) return null
  if (own.const !== undefined) return own.const
  if (Array.isArray(own.enum) && own.enum.length > 0) {
    const said = own.enum.find((one) => typeof one === 'string' && prompt.toLowerCase().includes(one.toLowerCase()))
    return said ?? own.enum[0]
  }
  const [choice] = [...bags(own.anyOf), ...bags(own.oneOf), ...bags(own.allOf)]
  if (choice) return sampleOf(choice, prompt, { name, root, depth: depth + 1 })
  switch (typeOf(own)) {
    case 'object': {
      const entries = Object.entries(bag(own.properties)).slice(0, 256)
      const more = (key: string) => ({ name: key, root, depth: depth + 1 })
      return Object.fromEntries(entries.map(([key, inner]) => [key, sampleOf(bag(inner), prompt, more(key))]))
    }
    case 'array': {
      const least = typeof own.minItems === 'number' ? own.minItems : 1
      const count = Math.min(Math.max(least, 0), ITEMS_MAX)
      return Array.from({ length: count }, () => sampleOf(bag(own.items), prompt, { name, root, depth: depth + 1 }))
    }
    case 'integer':
      return Math.ceil(numberFor(own))
    case 'number':
      return numberFor(own)
    case 'boolean':
      return true
    case 'null':
      return null
    default:
      return textFor(own, name, prompt)
  }
}
