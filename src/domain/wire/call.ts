/** Reads from a request's body what the queue needs to know; it must never change the body except to add a keep_alive. */
import { withInserted } from '../bytes.ts'
import { decodeField, type Field, field, type Scan, scanObject } from './go-json.ts'
import { isZeroKeepAlive } from './keep-alive.ts'
import { canonicalOf, parseModelName } from './model-name.ts'
import { multipartField } from './multipart.ts'
import { type Reload, reloadOf, residencyKey } from './residency.ts'
import type { Route } from './routes.ts'

/** A request on a queued route, as far as foreman reads it. */
export interface Call {
  readonly route: Route
  /** The model as written. */
  readonly model: string
  readonly canonicalModel: string
  readonly cloud: boolean
  readonly stream: boolean
  readonly reload: Reload
  readonly residencyKey: string
  /** The caller's own keep_alive, decoded; undefined when absent or null. */
  readonly keepAlive: unknown
  /** Empty prompt or messages with keep_alive 0: Ollama unloads at once, beside anything that runs. */
  readonly unloads: boolean
  /** Where a keep_alive can be inserted; null where the route has none. */
  readonly insertAt: { readonly offset: number; readonly first: boolean } | null
}

/** A request that cannot run, with Ollama's own status and words. */
export interface Refusal {
  readonly status: number
  readonly message: string
}

export type CallRead = { readonly kind: 'call'; readonly call: Call } | ({ readonly kind: 'refused' } & Refusal)

const refused = (status: number, message: string): CallRead => ({ kind: 'refused', status, message })

const goPackage = (route: Route): string =>
  route.flavour === 'native' ? 'api' : route.flavour === 'anthropic' ? 'anthropic' : 'openai'

/** Ollama's words for a missing model differ by route (wire document, 5.1). */
export const unknownModel = (route: Route, model: string): Refusal =>
  route.class === 'bypass'
    ? { status: 404, message: `model "${model}" not found, try pulling it first` }
    : { status: 404, message: `model '${model}' not found` }

const missingModel = (route: Route): Refusal =>
  route.path === '/api/generate' ? unknownModel(route, '') : { status: 400, message: 'model is required' }

const typeFault = (route: Route, found: Field, name: string, wanted: string): Refusal => ({
  status: 400,
  message: `json: cannot unmarshal ${found.type} into Go struct field ${route.goType}.${name} of type ${wanted}`,
})

const scanFault = (route: Route, scan: Scan): Refusal | null => {
  switch (scan.kind) {
    case 'empty':
      return { status: 400, message: route.flavour === 'native' ? 'missing request body' : 'EOF' }
    case 'malformed':
      return { status: 400, message: scan.message }
    case 'other':
      // Go decodes null into an empty request.
      if (scan.type === 'null') return missingModel(route)
      return {
        status: 400,
        message: `json: cannot unmarshal ${scan.type} into Go value of type ${goPackage(route)}.${route.goType}`,
      }
    case 'object':
      return null
    default:
      return scan satisfies never
  }
}

const isNull = (found: Field | undefined): found is undefined => found === undefined || found.type === 'null'

const isEmptyList = (body: Uint8Array, found: Field | undefined): boolean =>
  isNull(found) || (found.type === 'array' && body.subarray(found.start + 1, found.end - 1).every((c) => c <= 0x20))

const isEmptyText = (found: Field | undefined): boolean =>
  isNull(found) || (found.type === 'string' && found.end - found.start === 2)

const unloads = (route: Route, scan: Scan, body: Uint8Array, keepAlive: unknown): boolean => {
  if (!isZeroKeepAlive(keepAlive)) return false
  if (route.path === '/api/generate') return isEmptyText(field(scan, 'prompt'))
  return route.path === '/api/chat' && isEmptyList(body, field(scan, 'messages'))
}

const named = (route: Route, model: string): Pick<Call, 'model' | 'canonicalModel' | 'cloud'> | Refusal => {
  const parsed = parseModelName(model)
  switch (parsed.kind) {
    case 'empty':
      return missingModel(route)
    case 'conflict':
      return { status: 400, message: `use either :local or :cloud, not both: "${model}"` }
    case 'invalid':
      return { status: 400, message: 'invalid model name' }
    case 'name':
      return { model, canonicalModel: canonicalOf(parsed.name), cloud: parsed.source === 'cloud' }
    default:
      return parsed satisfies never
  }
}

const noReload: Reload = { options: {}, shift: undefined }

const readMultipart = (route: Route, body: Uint8Array, contentType: string): CallRead => {
  const name = named(route, multipartField(body, contentType, 'model') ?? '')
  if ('status' in name) return refused(name.status, name.message)
  const call: Call = {
    ...name,
    route,
    stream: false,
    reload: noReload,
    residencyKey: residencyKey(name.canonicalModel, noReload),
    keepAlive: undefined,
    unloads: false,
    insertAt: null,
  }
  return { kind: 'call', call }
}

const decoded = (body: Uint8Array, found: Field | undefined): unknown =>
  isNull(found) ? undefined : decodeField(body, found)

/** Reads a queued route's body. `contentType` matters for transcriptions alone; Ollama ignores it elsewhere. */
export const readCall = (route: Route, body: Uint8Array, contentType: string): CallRead => {
  if (route.path === '/v1/audio/transcriptions') return readMultipart(route, body, contentType)
  return readScanned(route, body, scanObject(body))
}

/** The same for a JSON body that has been scanned already. */
export const readScanned = (route: Route, body: Uint8Array, scan: Scan): CallRead => {
  const fault = scanFault(route, scan)
  if (fault !== null || scan.kind !== 'object')
    return fault ? refused(fault.status, fault.message) : refused(400, 'EOF')
  const model = field(scan, 'model')
  const stream = field(scan, 'stream')
  if (!isNull(model) && model.type !== 'string') {
    const { status, message } = typeFault(route, model, 'model', 'string')
    return refused(status, message)
  }
  if (!isNull(stream) && stream.type !== 'bool') {
    const { status, message } = typeFault(route, stream, 'stream', 'bool')
    return refused(status, message)
  }
  const name = named(route, isNull(model) ? '' : String(decodeField(body, model)))
  if ('status' in name) return refused(name.status, name.message)
  const native = route.flavour === 'native'
  const keepAlive = native ? decoded(body, field(scan, 'keep_alive')) : undefined
  // The /v1 routes know neither options nor keep_alive (wire document, 3.5).
  const reload = native
    ? reloadOf(decoded(body, field(scan, 'options')), decoded(body, field(scan, 'shift')))
    : noReload
  const call: Call = {
    ...name,
    route,
    stream: isNull(stream) ? route.streamDefault : body[stream.start] === 0x74,
    reload,
    residencyKey: residencyKey(name.canonicalModel, reload),
    keepAlive,
    unloads: native && unloads(route, scan, body, keepAlive),
    insertAt: native ? { offset: scan.end, first: scan.fields.length === 0 } : null,
  }
  return { kind: 'call', call }
}

/** The body with `keep_alive` added, so that it also wins over an explicit null. */
export const withKeepAlive = (body: Uint8Array, call: Pick<Call, 'insertAt'>, json: string): Uint8Array =>
  withMember(body, call, 'keep_alive', json)

/** Call and body as a streamed one, whatever it asked for. */
export const streamed = (body: Uint8Array, call: Call): { readonly body: Uint8Array; readonly call: Call } => {
  if (call.insertAt === null) return { body, call }
  const longer = withMember(body, call, 'stream', 'true')
  const offset = call.insertAt.offset + longer.length - body.length
  return { body: longer, call: { ...call, stream: true, insertAt: { offset, first: false } } }
}

/** The body with a member appended as the last one, so that it wins over any other of that name. */
const withMember = (body: Uint8Array, call: Pick<Call, 'insertAt'>, name: string, json: string): Uint8Array => {
  if (call.insertAt === null) return body
  const { offset, first } = call.insertAt
  const added = new TextEncoder().encode(`${first ? '' : ','}${JSON.stringify(name)}:${json}`)
  return withInserted(body, offset, added)
}

/** The body of the load idiom for this call: its own reload options and keep-alive, nothing else. */
export const loadBody = (call: Call, keepAliveJson: string | null): Uint8Array => {
  const { options, shift } = call.reload
  const parts = [`"model":${JSON.stringify(call.model)}`, '"stream":false']
  if (Object.keys(options).length > 0) parts.push(`"options":${JSON.stringify(options)}`)
  if (shift !== undefined) parts.push(`"shift":${JSON.stringify(shift)}`)
  const keepAlive: unknown = call.keepAlive ?? JSON.parse(keepAliveJson ?? 'null')
  // keep_alive 0 on an empty prompt would unload; the job itself carries it.
  if (keepAlive !== null && !isZeroKeepAlive(keepAlive)) parts.push(`"keep_alive":${JSON.stringify(keepAlive)}`)
  return new TextEncoder().encode(`{${parts.join(',')}}`)
}
