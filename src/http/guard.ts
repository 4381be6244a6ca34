/** The one guard in front of every route: it says who is asking or refuses, before anything else looks at the request. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createHostCheck, type HostRules } from './hosts.ts'
import { createOriginCheck, type OriginRules, preflightAnswer, readableBy } from './origins.ts'
import { below } from './redirect.ts'
import { badPath, unauthorized } from './refuse-by-path.ts'
import { canonicalPath, decodedPath, pathOf } from './request-path.ts'

/** Somebody who may come in; without a name where the token has none or none is asked for. */
export interface Who {
  readonly kind: 'who'
  readonly name: string | null
}

export interface NamedToken {
  readonly name: string | null
  readonly token: string
}

export interface GuardRules extends HostRules, OriginRules {
  /** None: everybody may. */
  readonly tokens: readonly NamedToken[]
  /** The first segment of a path may be a token: Ollama's command line can send it in no other way. */
  readonly tokenInPath?: boolean
  /** Paths that need no token, because machines watch them or nothing stands there. */
  readonly openPaths: readonly string[]
}

export type Judged =
  | {
      readonly kind: 'in'
      readonly who: Who
      /** The path that is judged here, routed by and sent on: the same one everywhere. */
      readonly path: string
      /** Makes an answer fit for who asked: readable for the page of another origin, leading below the token's path. Null: it already is. */
      readonly dress: ((response: Response) => Response) | null
    }
  | { readonly kind: 'refused'; readonly response: Response }

export type Guard = (request: Request) => Judged

const digest = (text: string) => createHash('sha256').update(text).digest()

/** As Ollama refuses, without a word: who is not meant to be here is not told why. */
const forbidden = (): Response => new Response(null, { status: 403 })

interface TokenCheck {
  /** By the headers. */
  of(request: Request): Who | null
  /** By the text of a token. */
  by(token: string): Who | null
}

const createTokenCheck = (tokens: readonly NamedToken[]): TokenCheck => {
  const anybody: Who = { kind: 'who', name: null }
  if (tokens.length === 0) return { of: () => anybody, by: () => null }
  const wanted = tokens.map(({ name, token }) => ({ name, digest: digest(token) }))
  const by = (token: string): Who | null => {
    const key = digest(token)
    // All are compared, so that the time tells nothing.
    const fitting = wanted.filter((one) => timingSafeEqual(key, one.digest))
    return fitting[0] === undefined ? null : { kind: 'who', name: fitting[0].name }
  }
  const of = ({ headers }: Request): Who | null => {
    const [, given] = /^bearer\s+(\S+)\s*$/i.exec(headers.get('authorization') ?? '') ?? []
    // Anthropic's clients send their key in a header of their own.
    return by(given ?? headers.get('x-api-key') ?? '')
  }
  return { of, by }
}

interface Named {
  readonly who: Who
  readonly path: string
  /** What was taken off. */
  readonly prefix: string
}

/** Who a path's first segment says, and the path that is left without it: from here on nobody sees the token. */
const tokenInPath = (check: TokenCheck, path: string): Named | null => {
  const [, segment = '', rest = '/'] = /^\/([^/]+)(\/.*)?$/.exec(path) ?? []
  const who = segment === '' ? null : check.by(decodedPath(segment))
  return who === null ? null : { who, path: rest, prefix: `/${segment}` }
}

/** The guard of one foreman. Order matters: a foreign page learns nothing, and a preflight carries no token. */
export const createGuard = (rules: GuardRules): Guard => {
  const isOwnHost = createHostCheck(rules)
  const judgeOrigin = createOriginCheck(rules)
  const check = createTokenCheck(rules.tokens)
  const open = new Set(rules.openPaths.flatMap((path) => [path, `${path}/`]))
  return (request) => {
    const origin = judgeOrigin(request)
    if (!isOwnHost(request.headers.get('host')) || origin === 'foreign')
      return { kind: 'refused', response: forbidden() }
    const dress = origin === 'allowed' ? (response: Response) => readableBy(request, response) : null
    const refused = (response: Response): Judged => ({ kind: 'refused', response: dress?.(response) ?? response })
    if (origin === 'allowed' && request.method === 'OPTIONS') return refused(preflightAnswer())
    const raw = pathOf(request)
    const path = canonicalPath(raw)
    const named = rules.tokenInPath && path !== null ? tokenInPath(check, path) : null
    if (named !== null) {
      const { who, path, prefix } = named
      const housed = (response: Response) => below(prefix, response)
      return { kind: 'in', who, path, dress: dress === null ? housed : (response) => dress(housed(response)) }
    }
    const who = path !== null && open.has(path) ? ({ kind: 'who', name: null } as const) : check.of(request)
    if (who === null) return refused(unauthorized(request, raw))
    if (path === null) return refused(badPath(request, raw))
    return { kind: 'in', who, path, dress }
  }
}
