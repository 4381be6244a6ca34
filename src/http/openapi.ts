/** Makes the generated OpenAPI document valid 3.0.3: the plugin leaves out descriptions, guesses content types and writes JSON Schema. */

import { t } from 'elysia'

/** Said beside a response schema: the content type of that response, JSON unless it is said. */
export const contentType = (type: string) => ({ 'x-content-type': type })

/** A response whose body is not JSON. */
export const bytesResponse = (description: string, type: string) =>
  t.String({ format: 'binary', description, ...contentType(type) })

/** A response without a body. */
export const emptyResponse = (description: string) => t.Void({ description })

/** JSON as it is published. */
type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
type JsonObject = { readonly [name: string]: Json }

const isObject = (json: Json | undefined): json is JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json)
const objectOf = (json: Json | undefined): JsonObject => (isObject(json) ? json : {})

const mapValues = (object: JsonObject, change: (value: Json, name: string) => Json): JsonObject =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value, name)]))

const isNull = (schema: Json) => isObject(schema) && schema['type'] === 'null'
// Elysia also takes a number as text from a query; the document shows the number.
const isNumberText = (schema: Json) =>
  isObject(schema) && schema['type'] === 'string' && ['integer', 'numeric'].includes(String(schema['format']))

/** 3.0 knows neither `const` nor the type null: they become `enum` and `nullable`. */
const schema30 = (schema: Json): Json => {
  if (Array.isArray(schema)) return schema.map(schema30)
  if (!isObject(schema)) return schema
  // A record by name is an object of which nothing more is said: 3.0 has no patterns for names.
  const { const: constant, anyOf, patternProperties: _names, 'x-content-type': _, ...rest } = schema
  const own: JsonObject = {
    ...mapValues(rest, (value, name) => (name === 'properties' ? mapValues(objectOf(value), schema30) : value)),
    ...(rest['items'] !== undefined && { items: schema30(rest['items']) }),
    ...(constant !== undefined && { enum: [constant] }),
  }
  if (!Array.isArray(anyOf)) return own
  const variants = anyOf.filter((variant: Json) => !isNull(variant) && !isNumberText(variant)).map(schema30)
  const nullable: JsonObject = variants.length < anyOf.length && anyOf.some(isNull) ? { nullable: true } : {}
  const [only] = variants
  if (variants.length === 1) return { ...objectOf(only), ...own, ...nullable }
  const enums = variants.map((variant: Json) => objectOf(variant)['enum'])
  if (enums.every(Array.isArray)) return { type: 'string', ...own, ...nullable, enum: enums.flat() as Json[] }
  return { ...own, ...nullable, anyOf: variants }
}

/** One description, one content type: what `x-content-type` says, else JSON. */
const response30 = (response: Json): Json => {
  const { description, content, 'x-content-type': type } = objectOf(response)
  const [media] = Object.values(objectOf(content))
  const schema = objectOf(media)['schema']
  return {
    description: description ?? 'as Ollama answers, errors too',
    ...(schema !== undefined && { content: { [String(type ?? 'application/json')]: { schema: schema30(schema) } } }),
  }
}

const parameter30 = (parameter: Json): Json => {
  const { schema, ...rest } = objectOf(parameter)
  return { ...rest, schema: schema30(schema ?? {}) }
}

const operation30 = (operation: Json): Json => {
  const { responses, parameters, ...rest } = objectOf(operation)
  // A route without schemas is passed through: whatever the target says may come.
  const stated = Object.entries(objectOf(responses)).filter(
    ([, response]) => Object.keys(objectOf(response)).length > 0,
  )
  const kept = stated.length > 0 ? Object.fromEntries(stated) : { default: {} }
  return {
    ...rest,
    ...(Array.isArray(parameters) && { parameters: parameters.map(parameter30) }),
    responses: mapValues(kept, response30),
  }
}

/** The document as it is published. */
export const openApi30 = (generated: object): JsonObject => {
  // What JSON drops, the document must not have either.
  const document = JSON.parse(JSON.stringify(generated)) as JsonObject
  const paths = mapValues(objectOf(document['paths']), (item) => mapValues(objectOf(item), operation30))
  return { ...document, paths }
}
