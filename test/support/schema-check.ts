/** Checks a value against the part of OpenAPI 3.0's schemas that foreman publishes; a keyword it does not know is an error. */

export type Schema = { readonly [keyword: string]: unknown }

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const types: Record<string, (value: unknown) => boolean> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
}

const formats: Record<string, (text: string) => boolean> = {
  'date-time': (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text) && !Number.isNaN(Date.parse(text)),
  'uri-reference': (text) => URL.canParse(text, 'http://x'),
  binary: () => true,
}

type Check = (value: unknown, limit: never, at: string, schema: Schema) => string[]

const checks: Record<string, Check> = {
  type: (value, type: string, at) => (types[type]?.(value) ? [] : [`${at} is not ${type}`]),
  enum: (value, values: unknown[], at) => (values.includes(value) ? [] : [`${at} is none of ${values.join(', ')}`]),
  minimum: (value, least: number, at) => (Number(value) < least ? [`${at} is below ${least}`] : []),
  maximum: (value, most: number, at) => (Number(value) > most ? [`${at} is above ${most}`] : []),
  minLength: (value, least: number, at) => (String(value).length < least ? [`${at} is shorter than ${least}`] : []),
  maxLength: (value, most: number, at) => (String(value).length > most ? [`${at} is longer than ${most}`] : []),
  pattern: (value, pattern: string, at) => (new RegExp(pattern).test(String(value)) ? [] : [`${at} is not ${pattern}`]),
  format: (value, format: string, at) =>
    formats[format] === undefined || formats[format](String(value)) ? [] : [`${at} is not a ${format}`],
  required: (value, names: string[], at) =>
    isObject(value) ? names.filter((name) => !(name in value)).map((name) => `${at}.${name} is missing`) : [],
  properties: (value, properties: Record<string, Schema>, at) =>
    isObject(value)
      ? Object.entries(properties).flatMap(([name, schema]) =>
          name in value ? schemaFaults(value[name], schema, `${at}.${name}`) : [],
        )
      : [],
  items: (value, schema: Schema, at) =>
    Array.isArray(value) ? value.flatMap((item, i) => schemaFaults(item, schema, `${at}[${i}]`)) : [],
  anyOf: (value, schemas: Schema[], at) =>
    schemas.some((schema) => schemaFaults(value, schema, at).length === 0) ? [] : [`${at} fits none of anyOf`],
}

const silent = new Set(['description', 'default', 'nullable', 'example'])

/** What is wrong with `value`; nothing when it fits. */
export const schemaFaults = (value: unknown, schema: Schema, at = '$'): string[] => {
  if (value === null && (schema['nullable'] === true || schema['type'] === undefined)) return []
  return Object.entries(schema).flatMap(([keyword, limit]) => {
    if (silent.has(keyword)) return []
    const check = checks[keyword]
    if (check === undefined) throw new Error(`${at}: the keyword ${keyword} is not known here`)
    return check(value, limit as never, at, schema)
  })
}

/** Members of `value` that the schema does not name, at any depth. */
export const strangers = (value: unknown, schema: Schema, at = '$'): string[] => {
  const properties = schema['properties'] as Record<string, Schema> | undefined
  const items = schema['items'] as Schema | undefined
  if (Array.isArray(value) && items !== undefined)
    return value.flatMap((item, i) => strangers(item, items, `${at}[${i}]`))
  if (!isObject(value) || properties === undefined) return []
  return Object.entries(value).flatMap(([name, member]) =>
    properties[name] === undefined ? [`${at}.${name}`] : strangers(member, properties[name], `${at}.${name}`),
  )
}
