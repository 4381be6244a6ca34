/** From a request to its handler, past the gate and the commanded faults; it must never answer what a handler should. */
import { matchRoute, type Route } from '../domain/wire/routes.ts'
import { EVENTS, JSON_UTF8, NDJSON } from './answer.ts'
import { messagesRoute } from './anthropic.ts'
import { embeddingsRoute, embedRoute, openaiEmbeddings } from './embedding.ts'
import type { Exchange } from './exchange.ts'
import type { FaultBoard, RequestFault } from './fault.ts'
import type { Header } from './framing.ts'
import type { Gate } from './gate.ts'
import { impersonate, impostors } from './impostor.ts'
import { cloudRoutes, openaiModelRoute, openaiModels, ps, root, show, tags, version } from './inventory.ts'
import { chat, generateRoute } from './native.ts'
import { chatCompletions, completions } from './openai.ts'
import { copy, create, headBlob, postBlob, pull, push, remove } from './registry.ts'
import { responsesRoute } from './responses.ts'
import { BUSY, type Call, type Handler, refuse, type Stage } from './stage.ts'
import { transcriptions } from './transcription.ts'

const TEXT: Header = ['Content-Type', 'text/plain']
const HTML: Header = ['Content-Type', 'text/html; charset=utf-8']

const handlers: Readonly<Record<string, Handler>> = {
  ...cloudRoutes,
  'DELETE /api/delete': remove,
  'GET /': root,
  'GET /api/ps': ps,
  'GET /api/tags': tags,
  'GET /api/version': version,
  'GET /v1/models': openaiModels,
  'GET /v1/models/:model': openaiModelRoute,
  'HEAD /api/blobs/:digest': headBlob,
  'POST /api/blobs/:digest': postBlob,
  'POST /api/chat': chat,
  'POST /api/copy': copy,
  'POST /api/create': create,
  'POST /api/embed': embedRoute,
  'POST /api/embeddings': embeddingsRoute,
  'POST /api/generate': generateRoute,
  'POST /api/pull': pull,
  'POST /api/push': push,
  'POST /api/show': show,
  'POST /v1/audio/transcriptions': transcriptions,
  'POST /v1/chat/completions': chatCompletions,
  'POST /v1/completions': completions,
  'POST /v1/embeddings': openaiEmbeddings,
  'POST /v1/messages': messagesRoute,
  'POST /v1/responses': responsesRoute,
}

const handlerOf = (method: string, route: Route): Handler | undefined =>
  handlers[`${method} ${route.path}`] ?? (method === 'HEAD' ? handlers[`GET ${route.path}`] : undefined)

const redirect = (exchange: Exchange, status: 301 | 307, location: string) => {
  const { method } = exchange.request
  const reads = method === 'GET' || method === 'HEAD'
  const words = status === 301 ? 'Moved Permanently' : 'Temporary Redirect'
  const headers: Header[] = [...(reads ? [HTML] : []), ['Location', location]]
  exchange.send(status, headers, reads ? `<a href="${location}">${words}</a>.\n\n` : '')
}

const likelyHeaders = ({ exchange, route }: Call): readonly Header[] => {
  if (route.streamDefault) return [NDJSON]
  const streams = Buffer.from(exchange.request.body).includes('"stream":true')
  return [route.flavour !== 'native' && streams ? EVENTS : JSON_UTF8]
}

/** Plays a fault out on the wire; false: the handler goes on, perhaps with a cut ahead of it. */
const suffer = (stage: Stage, call: Call, fault: RequestFault): boolean => {
  const { exchange, route } = call
  switch (fault.kind) {
    case 'hang-before-headers':
      return true
    case 'hang-after-headers':
      exchange.begin(200, likelyHeaders(call))
      return true
    case 'reset':
      if (fault.phase === 'mid-body') {
        exchange.cutWith({ how: 'reset', afterChunks: fault.chunks ?? 1 })
        return false
      }
      if (fault.phase === 'after-headers') exchange.begin(200, likelyHeaders(call))
      exchange.reset()
      return true
    case 'truncate':
    case 'malformed-chunk':
      exchange.cutWith({ how: fault.kind === 'truncate' ? 'truncate' : 'malformed', afterChunks: fault.chunks ?? 1 })
      return false
    case 'error-before':
      refuse(stage, call, fault.status ?? 500, fault.text)
      return true
    case 'status':
      if (fault.retryAfter !== undefined) exchange.extraHeaders.push(['Retry-After', String(fault.retryAfter)])
      refuse(stage, call, fault.status, fault.text ?? BUSY)
      return true
    case 'impostor':
      impersonate(exchange, stage.pulse, typeof fault.as === 'string' ? impostors[fault.as] : fault.as)
      return true
    case 'slow':
      return false
    case 'oom':
    case 'error-mid-stream':
      if (route.class === 'queued') return false
      refuse(stage, call, 500, fault.kind === 'oom' ? 'CUDA error: out of memory' : fault.text)
      return true
    default:
      return fault satisfies never
  }
}

export interface RouterDeps {
  readonly stage: Stage
  readonly gate: Gate
  readonly board: FaultBoard
  /** Called for every call that reached a route, before any fault. */
  readonly onCall: (call: Call) => void
}

/** Answers one exchange. */
export const createRouter = ({ stage, gate, board, onCall }: RouterDeps) => {
  const unrouted: Route = { methods: [], path: '', class: 'control', flavour: 'native', streamDefault: false }

  return (exchange: Exchange): void | Promise<void> => {
    const { method, path } = exchange.request
    stage.tally.addTo('requests', path)
    const match = matchRoute(method, path)
    const fault = board.take(path)
    const routed = match.kind === 'route'
    const call: Call = {
      exchange,
      route: routed ? match.route : unrouted,
      parameter: routed ? (match.parameter ?? '') : '',
      fault,
    }
    if (routed) onCall(call)
    if (fault && suffer(stage, call, fault)) return undefined
    if (match.kind === 'redirect') return redirect(exchange, match.status, match.location)
    if (match.kind === 'not-allowed') exchange.extraHeaders.push(['Allow', match.allow])
    if (!gate(exchange)) return undefined
    if (match.kind === 'not-allowed') return exchange.send(405, [TEXT], '405 method not allowed')
    const handler = routed ? handlerOf(method, match.route) : undefined
    if (!handler) return exchange.send(404, [TEXT], '404 page not found')
    return handler(stage, call)
  }
}
