/** The Ollama route table and how a path matches it; it decides nothing about what a request carries. */

/** Which error shape and stream framing a route's clients understand. */
export type Flavour = 'native' | 'openai' | 'responses' | 'anthropic'

/** queued: one at a time through the queue. bypass: at once, beside a generation. control: at once, no model runs. */
export type RouteClass = 'queued' | 'bypass' | 'control'

export interface Route {
  readonly methods: readonly string[]
  readonly path: string
  readonly class: RouteClass
  readonly flavour: Flavour
  /** What Ollama does when the body says nothing about `stream`. */
  readonly streamDefault: boolean
  /** Go's name of the request type, as its type errors print it. */
  readonly goType?: string
  /** Changes what is installed: refused under FOREMAN_READ_ONLY and followed by a poll. */
  readonly writes?: true
  /** The body streams through whatever its size. */
  readonly largeBody?: true
  /** Not of the table: a path that only the target may know (ADR 0024). */
  readonly unlisted?: true
}

const GET = ['GET'] as const
const GET_HEAD = ['GET', 'HEAD'] as const
const POST = ['POST'] as const

const control = (methods: readonly string[], path: string, more: Partial<Route> = {}): Route => ({
  methods,
  path,
  class: 'control',
  flavour: 'native',
  streamDefault: false,
  ...more,
})

const queued = (path: string, flavour: Flavour, goType: string, streamDefault = false): Route => ({
  methods: POST,
  path,
  class: 'queued',
  flavour,
  streamDefault,
  goType,
})

const bypass = (path: string, flavour: Flavour, goType: string): Route => ({
  methods: POST,
  path,
  class: 'bypass',
  flavour,
  streamDefault: false,
  goType,
})

/** Every route of section 2 of the wire document. `GET /` is foreman's own answer. */
export const ollamaRoutes: readonly Route[] = [
  queued('/api/chat', 'native', 'ChatRequest', true),
  queued('/api/generate', 'native', 'GenerateRequest', true),
  queued('/v1/chat/completions', 'openai', 'ChatCompletionRequest'),
  queued('/v1/completions', 'openai', 'CompletionRequest'),
  queued('/v1/responses', 'responses', 'ResponsesRequest'),
  queued('/v1/messages', 'anthropic', 'MessagesRequest'),
  queued('/v1/audio/transcriptions', 'openai', 'TranscriptionRequest'),
  bypass('/api/embed', 'native', 'EmbedRequest'),
  bypass('/api/embeddings', 'native', 'EmbeddingRequest'),
  bypass('/v1/embeddings', 'openai', 'EmbedRequest'),
  control(GET_HEAD, '/'),
  control(GET_HEAD, '/api/version'),
  control(GET, '/api/status'),
  control(GET_HEAD, '/api/tags'),
  control(GET, '/api/ps'),
  control(POST, '/api/show'),
  control(POST, '/api/pull', { streamDefault: true, writes: true }),
  control(POST, '/api/push', { streamDefault: true, writes: true }),
  control(POST, '/api/create', { streamDefault: true, writes: true }),
  control(POST, '/api/copy', { writes: true }),
  control(['DELETE'], '/api/delete', { writes: true }),
  control(['HEAD'], '/api/blobs/:digest'),
  control(POST, '/api/blobs/:digest', { writes: true, largeBody: true }),
  control(POST, '/api/me'),
  control(POST, '/api/signout'),
  control(['DELETE'], '/api/user/keys/:encodedKey'),
  control(POST, '/api/experimental/web_search'),
  control(POST, '/api/experimental/web_fetch'),
  control(GET, '/api/experimental/model-recommendations'),
  control(GET, '/v1/models', { flavour: 'openai' }),
  control(GET, '/v1/models/:model', { flavour: 'openai' }),
]

export type RouteMatch =
  | { readonly kind: 'route'; readonly route: Route; readonly parameter: string | null }
  | { readonly kind: 'redirect'; readonly status: 301 | 307; readonly location: string }
  | { readonly kind: 'not-allowed'; readonly allow: string }
  | { readonly kind: 'unknown' }

const parameterOf = (pattern: string, path: string): string | null | undefined => {
  const colon = pattern.indexOf(':')
  if (colon < 0) return pattern === path ? null : undefined
  const prefix = pattern.slice(0, colon)
  const rest = path.slice(prefix.length)
  return path.startsWith(prefix) && rest !== '' && !rest.includes('/') ? rest : undefined
}

const at = (path: string): { route: Route; parameter: string | null }[] =>
  ollamaRoutes.flatMap((route) => {
    const parameter = parameterOf(route.path, path)
    return parameter === undefined ? [] : [{ route, parameter }]
  })

const exact = new Map(ollamaRoutes.flatMap((route) => route.methods.map((m) => [`${m} ${route.path}`, route] as const)))

/** The route that is written exactly so; undefined where matching takes more than a look. */
export const exactRoute = (method: string, path: string): Route | undefined => exact.get(`${method} ${path}`)

/** Matches a method and a path without its query. Paths are case-sensitive; a trailing slash redirects, as in Ollama. */
export const matchRoute = (method: string, path: string): RouteMatch => {
  const hit = exact.get(`${method} ${path}`)
  if (hit) return { kind: 'route', route: hit, parameter: null }
  const clean = path.replace(/\/{2,}/g, '/')
  if (clean !== path && at(clean).length > 0) return { kind: 'redirect', status: 307, location: clean }
  const candidates = at(path)
  const found = candidates.find(({ route }) => route.methods.includes(method))
  if (found) return { kind: 'route', ...found }
  if (candidates.length > 0)
    return { kind: 'not-allowed', allow: [...new Set(candidates.flatMap(({ route }) => route.methods))].join(', ') }
  if (path.length > 1 && path.endsWith('/')) {
    const shorter = path.slice(0, -1)
    if (at(shorter).some(({ route }) => route.methods.includes(method)))
      return { kind: 'redirect', status: method === 'GET' ? 301 : 307, location: shorter }
  }
  return { kind: 'unknown' }
}

// What file systems and tidy proxies drop around a name, and what nobody sees.
const AROUND = /^[\s.+]+|[\s.+]+$|\p{Cf}/gu

/** Whether a path that is no route would be one for somebody who looks less closely: at other letters, slashes too many, dots and spaces around a name. */
export const isLikeRoute = (method: string, path: string): boolean => {
  const names = path.normalize('NFKC').toLowerCase().split('/')
  const bare = names.map((name) => name.replace(AROUND, '')).filter((name) => name !== '')
  return matchRoute(method, `/${bare.join('/')}`).kind !== 'unknown'
}

/** Which error shape the clients of a path understand, whether or not it has a route. */
export const flavourOf = (path: string): Flavour => {
  if (!path.startsWith('/v1/')) return 'native'
  return path === '/v1/messages' || path.startsWith('/v1/messages/') ? 'anthropic' : 'openai'
}
