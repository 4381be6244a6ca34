/** POSTs on paths that the route table does not know (ADR 0024): what names a model may load one and waits in the queue; it must never guess what such an answer means. */
import { type Call, isCallMember } from './call.ts'
import { decodeField, field, scanInTurns, valueField } from './go-json.ts'
import { canonicalOf, parseModelName } from './model-name.ts'
import { type Reload, reloadOf, residencyKey } from './residency.ts'
import { flavourOf, type Route } from './routes.ts'
import { createStreamWatch, isStream, type StreamWatch } from './stream-watch.ts'

/** The route that stands for an unknown path of /api or /v1. */
export const unlistedRoute = (path: string): Route => ({
  methods: ['POST'],
  path,
  class: 'queued',
  flavour: flavourOf(path.replace(/^\/+/, '/')),
  streamDefault: false,
  unlisted: true,
})

// An upload names no model that could be read without holding all of it.
const UPLOAD = /^\s*(multipart\/|application\/octet-stream|audio\/|image\/|video\/)/i

/** Whether a body of this content type is looked into at all. */
export const mayNameModel = (contentType: string): boolean => !UPLOAD.test(contentType)

const noReload: Reload = { options: {}, shift: undefined }

/** The call in a body that names a model; null when none is named there. The body is sent on as it is. */
export const readUnlistedCall = async (
  route: Route,
  body: Uint8Array,
  turn: () => Promise<void>,
): Promise<Call | null> => {
  const scan = await scanInTurns(body, isCallMember, turn)
  const model = valueField(scan, 'model')
  if (scan.kind !== 'object' || model?.type !== 'string') return null
  const written = String(decodeField(body, model, 4_096))
  const parsed = parseModelName(written)
  if (parsed.kind !== 'name') return null
  const decoded = (name: string): unknown => {
    const found = field(scan, name)
    return found === undefined || found.type === 'null' ? undefined : decodeField(body, found)
  }
  const reload = route.flavour === 'native' ? reloadOf(decoded('options'), decoded('shift')) : noReload
  const canonicalModel = canonicalOf(parsed.name)
  return {
    route,
    model: written,
    canonicalModel,
    cloud: parsed.source === 'cloud',
    stream: decoded('stream') === true,
    reload,
    residencyKey: residencyKey(canonicalModel, reload),
    keepAlive: undefined,
    unloads: false,
    insertAt: null,
    options: [],
  }
}

/** Nobody knows a final chunk: the end of the body is the end. An error in the flavour's own framing is one all the same. */
export const createUnlistedWatch = (route: Route, contentType: string, encoded: boolean): StreamWatch => {
  const watch = isStream(contentType) ? createStreamWatch(route.flavour, contentType, encoded) : null
  return {
    push: (bytes) => watch?.push(bytes),
    isFinal: false,
    endsWithBody: true,
    state: () => {
      const state = watch?.state()
      return state?.kind === 'error' ? state : { kind: 'final' }
    },
    usage: () => watch?.usage() ?? { promptTokens: null, completionTokens: null, totalDurationMs: null },
  }
}
