/** What an OpenAPI 3.0.3 document must be; only the parts that foreman publishes, and every other part is a fault. */
import type { Schema } from './schema-check.ts'

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required: boolean
  readonly schema: Schema
}

export interface Response {
  readonly description: string
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>
}

export interface Operation {
  readonly operationId: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses: Readonly<Record<string, Response>>
}

export interface OpenApi {
  readonly openapi: string
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']
const operationKeys = [
  'tags',
  'summary',
  'description',
  'operationId',
  'parameters',
  'requestBody',
  'responses',
  'security',
]
const documentKeys = ['openapi', 'info', 'servers', 'paths', 'components', 'security', 'tags', 'externalDocs']
// Everything that a 3.0 schema may carry and foreman uses; `const`, `examples` and type null are of 3.1.
const schemaKeys = new Set(
  'type enum minimum maximum minLength maxLength pattern format required properties items anyOf description default nullable'.split(
    ' ',
  ),
)
const schemaTypes = new Set(['object', 'array', 'string', 'number', 'integer', 'boolean'])

const extra = (object: object, keys: readonly string[], at: string) =>
  Object.keys(object)
    .filter((key) => !keys.includes(key))
    .map((key) => `${at}: ${key} is not of 3.0.3`)

const schemaFault = (schema: Schema, at: string): string[] => {
  const { type, properties, items, anyOf, nullable } = schema
  return [
    ...extra(schema, [...schemaKeys], at),
    ...(type === undefined || schemaTypes.has(String(type)) ? [] : [`${at}: type ${type}`]),
    ...(type === 'array' && items === undefined ? [`${at}: an array without items`] : []),
    ...(nullable !== undefined && type === undefined ? [`${at}: nullable without a type`] : []),
    ...Object.entries((properties ?? {}) as Record<string, Schema>).flatMap(([k, s]) => schemaFault(s, `${at}.${k}`)),
    ...(items === undefined ? [] : schemaFault(items as Schema, `${at}[]`)),
    ...((anyOf ?? []) as Schema[]).flatMap((s, i) => schemaFault(s, `${at}|${i}`)),
  ]
}

const contentFault = (content: Response['content'], at: string) =>
  Object.entries(content ?? {}).flatMap(([type, { schema }]) => [
    ...(/^[\w*.+-]+\/[\w*.+-]+$/.test(type) ? [] : [`${at}: ${type} is no media type`]),
    ...schemaFault(schema, `${at} ${type}`),
  ])

const parameterFault = (parameter: Parameter, at: string) => [
  ...extra(parameter, ['name', 'in', 'required', 'schema', 'description', 'example'], at),
  ...(['path', 'query', 'header'].includes(parameter.in) ? [] : [`${at}: in ${parameter.in}`]),
  ...(parameter.in !== 'path' || parameter.required ? [] : [`${at}: a path parameter that is not required`]),
  ...schemaFault(parameter.schema, at),
]

const operationFault = (operation: Operation, path: string, at: string): string[] => {
  const parameters = operation.parameters ?? []
  const inPath = parameters.filter((p) => p.in === 'path').map(({ name }) => `{${name}}`)
  const wanted: string[] = path.match(/\{\w+\}/g) ?? []
  const names = parameters.map((p) => `${p.in} ${p.name}`)
  const responses = Object.entries(operation.responses ?? {})
  return [
    ...extra(operation, operationKeys, at),
    ...(inPath.sort().join() === wanted.sort().join() ? [] : [`${at}: path parameters ${inPath} for ${wanted}`]),
    ...(new Set(names).size === names.length ? [] : [`${at}: a parameter twice`]),
    ...parameters.flatMap((parameter) => parameterFault(parameter, `${at} ${parameter.name}`)),
    ...contentFault(operation.requestBody?.content, at),
    ...(responses.length > 0 ? [] : [`${at}: no responses`]),
    ...responses.flatMap(([status, response]) => [
      ...(/^([1-5]\d\d|default)$/.test(status) ? [] : [`${at}: status ${status}`]),
      ...(typeof response.description === 'string' && response.description !== ''
        ? []
        : [`${at} ${status}: undescribed`]),
      ...extra(response, ['description', 'content', 'headers'], `${at} ${status}`),
      ...contentFault(response.content, `${at} ${status}`),
    ]),
  ]
}

/** What is wrong with a document. */
export const documentFaults = (document: OpenApi): string[] => {
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  )
  const ids = operations.map(({ operation }) => operation.operationId)
  return [
    ...extra(document, documentKeys, 'document'),
    ...(document.info.title && document.info.version ? [] : ['info: title and version']),
    ...operations.filter(({ method }) => !methods.includes(method)).map(({ method }) => `method ${method}`),
    ...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `operationId ${id} twice`),
    ...operations.flatMap(({ path, method, operation }) => operationFault(operation, path, `${method} ${path}`)),
  ]
}
