/** Reads from a request's body what the queue needs to know; it must never change the body. */
import {
  decodeField,
  type Field,
  field,
  fieldsOf,
  type Scan,
  scanInTurns,
  scanObject,
  valueField,
  type Wanted,
} from './go-json.ts'
import { isZeroKeepAlive } from './keep-alive.ts'
import { canonicalOf, parseModelName } from './model-name.ts'
import { isForm, multipartField, multipartFieldInTurns, NO_FORM } from './multipart.ts'
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
  /** Where its `options` stand, which Go merges; none where the route has none. */
  readonly options: readonly Place[]
}

/** A member's value in the body. */
export type Place = Pick<Field, 'type' | 'start' | 'end'>

/** A request that cannot run, with Ollama's own status and words. */
export interface Refusal {
  readonly status: number
  readonly message: string
  /** Said behind the layer that makes Ollama compatible, which hands it on in a form of its own. */
  readonly isLate?: true
  /** It asked for a stream. */
  readonly isStream?: boolean
}

export type CallRead = { readonly kind: 'call'; readonly call: Call } | ({ readonly kind: 'refused' } & Refusal)

const refused = (refusal: Refusal): CallRead => ({ kind: 'refused', ...refusal })

const goPackage = (route: Route): string =>
  route.flavour === 'native' ? 'api' : route.flavour === 'anthropic' ? 'anthropic' : 'openai'

/** Ollama's words for a missing model differ by route (wire document, 5.1). */
export const unknownModel = ({ route, model, stream }: Pick<Call, 'route' | 'model' | 'stream'>): Refusal =>
  route.class === 'bypass'
    ? { status: 404, message: `model "${model}" not found, try pulling it first`, isLate: true }
    : { status: 404, message: `model '${model}' not found`, isLate: true, isStream: stream }

const TRANSCRIPTIONS = '/v1/audio/transcriptions'

const missingModel = ({ path, flavour }: Route): Refusal => {
  if (path === '/api/generate' || path === '/v1/completions')
    return { status: 404, message: "model '' not found", isLate: true }
  // The layers that speak Anthropic's language and forms look at the model themselves.
  const isEarly = flavour === 'anthropic' || path === TRANSCRIPTIONS
  return { status: 400, message: 'model is required', ...(!isEarly && { isLate: true }) }
}

/** The layer that speaks OpenAI's language looks at the messages before anything else. */
const unspoken = ({ path }: Route): Refusal | null =>
  path === '/v1/chat/completions' ? { status: 400, message: "[] is too short - 'messages'" } : null

const typeFault = (route: Route, found: Field, name: string, wanted: string): Refusal => ({
  status: 400,
  message: `json: cannot unmarshal ${found.type} into Go struct field ${route.goType}.${name} of type ${wanted}`,
})

const typesWanted = [
  ['model', 'string', 'string'],
  ['stream', 'bool', 'bool'],
] as const

/** Go remembers its first complaint, also about a member that a later one replaces. */
const firstOfWrongType = (route: Route, scan: Scan): Refusal | null => {
  let first: { readonly found: Field; readonly name: string; readonly wanted: string } | null = null
  for (const [name, type, wanted] of typesWanted)
    for (const found of fieldsOf(scan, name))
      if (found.type !== 'null' && found.type !== type && (first === null || found.start < first.found.start))
        first = { found, name, wanted }
  return first === null ? null : typeFault(route, first.found, first.name, first.wanted)
}

const scanFault = (route: Route, scan: Scan): Refusal | null => {
  switch (scan.kind) {
    case 'empty':
      return { status: 400, message: route.flavour === 'native' ? 'missing request body' : 'EOF' }
    case 'malformed':
      return { status: 400, message: scan.message }
    case 'other':
      // Go decodes null into an empty request.
      if (scan.type === 'null') return unspoken(route) ?? missingModel(route)
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

/** Absent, or as good as that. */
export const isNull = (found: Field | undefined): found is undefined => found === undefined || found.type === 'null'

// An empty list is short, whatever space is in it.
const EMPTY_LIST_BYTES_MAX = 65_536

/** Absent, null or a list of nothing. */
export const isEmptyList = (body: Uint8Array, found: Field | undefined): boolean =>
  isNull(found) ||
  (found.type === 'array' &&
    found.end - found.start < EMPTY_LIST_BYTES_MAX &&
    body.subarray(found.start + 1, found.end - 1).every((c) => c <= 0x20))

const isEmptyText = (found: Field | undefined): boolean =>
  isNull(found) || (found.type === 'string' && found.end - found.start === 2)

const unloads = (route: Route, scan: Scan, body: Uint8Array, keepAlive: unknown): boolean => {
  if (!isZeroKeepAlive(keepAlive)) return false
  if (route.path === '/api/generate') return isEmptyText(valueField(scan, 'prompt'))
  return route.path === '/api/chat' && isEmptyList(body, field(scan, 'messages'))
}

const named = (route: Route, model: string): Pick<Call, 'model' | 'canonicalModel' | 'cloud'> | Refusal => {
  const parsed = parseModelName(model)
  switch (parsed.kind) {
    case 'empty':
      return missingModel(route)
    case 'conflict':
      return { status: 400, message: `use either :local or :cloud, not both: "${model}"`, isLate: true }
    case 'invalid':
      return { status: 400, message: 'invalid model name', isLate: true }
    case 'name':
      return { model, canonicalModel: canonicalOf(parsed.name), cloud: parsed.source === 'cloud' }
    default:
      return parsed satisfies never
  }
}

const noReload: Reload = { options: {}, shift: undefined }

const callOfForm = (route: Route, contentType: string, model: string | null): CallRead => {
  if (!isForm(contentType)) return refused({ status: 400, message: NO_FORM })
  const name = named(route, model ?? '')
  if ('status' in name) return refused(name)
  const call: Call = {
    ...name,
    route,
    stream: false,
    reload: noReload,
    residencyKey: residencyKey(name.canonicalModel, noReload),
    keepAlive: undefined,
    unloads: false,
    insertAt: null,
    options: [],
  }
  return { kind: 'call', call }
}

// Whatever is longer is no keep_alive, no option and no name.
const SMALL_BYTES_MAX = 4_096
const OPTIONS_BYTES_MAX = 65_536

/** Undefined = absent. One that cannot be read is there all the same: the target has words for it. */
const small = (body: Uint8Array, found: Field | undefined): unknown =>
  isNull(found) ? undefined : (decodeField(body, found, SMALL_BYTES_MAX) ?? '')

/** Go decodes one object after the other into one map, and null empties it. */
export const mergedOptions = (body: Uint8Array, all: readonly Place[]): Record<string, unknown> => {
  const since = all.findLastIndex(({ type }) => type === 'null') + 1
  return Object.assign({}, ...all.slice(since).map((found) => decodeField(body, found, OPTIONS_BYTES_MAX)))
}

const members = new Set(['keep_alive', 'messages', 'model', 'options', 'prompt', 'shift', 'stream'])

/** The members of a body that foreman reads; it never looks at others. */
export const isCallMember: Wanted = (key) => members.has(key)

/** Reads a queued route's body. `contentType` matters for transcriptions alone; Ollama ignores it elsewhere. */
export const readCall = (route: Route, body: Uint8Array, contentType: string): CallRead => {
  if (route.path === TRANSCRIPTIONS) return callOfForm(route, contentType, multipartField(body, contentType, 'model'))
  return readScanned(route, body, scanObject(body, isCallMember))
}

/** The same for a body of any size: `turn` lets others have theirs. */
export const readCallInTurns = async (
  route: Route,
  body: Uint8Array,
  contentType: string,
  turn: () => Promise<void>,
): Promise<CallRead> => {
  if (route.path === TRANSCRIPTIONS)
    return callOfForm(route, contentType, await multipartFieldInTurns(body, contentType, 'model', turn))
  return readScanned(route, body, await scanInTurns(body, isCallMember, turn))
}

/** The same for a JSON body that has been scanned already. */
export const readScanned = (route: Route, body: Uint8Array, scan: Scan): CallRead => {
  const fault = scanFault(route, scan)
  if (fault !== null || scan.kind !== 'object') return fault ? refused(fault) : refused({ status: 400, message: 'EOF' })
  const wrong = firstOfWrongType(route, scan)
  if (wrong !== null) return refused(wrong)
  const silent = isEmptyList(body, field(scan, 'messages')) ? unspoken(route) : null
  if (silent !== null) return refused(silent)
  const model = valueField(scan, 'model')
  const said = field(scan, 'stream')
  const stream = isNull(said) ? route.streamDefault : body[said.start] === 0x74
  const name = named(route, model === undefined ? '' : String(decodeField(body, model, SMALL_BYTES_MAX) ?? '\0'))
  if ('status' in name) return refused({ ...name, isStream: stream })
  const native = route.flavour === 'native'
  const keepAlive = native ? small(body, field(scan, 'keep_alive')) : undefined
  // The /v1 routes know neither options nor keep_alive (wire document, 3.5).
  const options = native ? fieldsOf(scan, 'options').map(({ type, start, end }) => ({ type, start, end })) : []
  const reload = native ? reloadOf(mergedOptions(body, options), small(body, field(scan, 'shift'))) : noReload
  const call: Call = {
    ...name,
    route,
    stream,
    reload,
    residencyKey: residencyKey(name.canonicalModel, reload),
    keepAlive,
    unloads: native && unloads(route, scan, body, keepAlive),
    insertAt: native ? { offset: scan.end, first: scan.isEmpty } : null,
    options,
  }
  return { kind: 'call', call }
}
