/** What can be said in the target's place while it is away: what its last good poll and its own earlier answers said; it must never say more (ADR 0021). */
import type { Clock } from '../../domain/clock.ts'
import { modelList, modelOf } from '../../domain/wire/model-list.ts'
import { displayName, parseModelName } from '../../domain/wire/model-name.ts'
import type { Flavour, Route } from '../../domain/wire/routes.ts'
import { readShow, type Shown } from '../../domain/wire/show.ts'
import type { TargetView } from '../../engine/state.ts'
import { refusal } from '../refuse.ts'
import { decodedPath, pathOf } from '../request-path.ts'
import type { Whole } from './forwarding.ts'
import { createMemory } from './memory.ts'

/** A question that can be answered from memory. */
export interface Question {
  /** Null = nobody has ever answered it, or what was said holds no longer. */
  answer(): Response | null
  /** A member that every answer to it has. */
  readonly member: string
  /** The target has answered it. */
  heard(whole: Whole): void
}

export interface Known {
  /** Null for what is not remembered. */
  question(route: Route, request: Request, body: Uint8Array | null): Question | null
}

export interface KnownDeps {
  readonly view: () => TargetView
  readonly clock: Pick<Clock, 'now' | 'wallAt'>
}

/** Says that the target did not give this answer just now, and when it did. */
export const ANSWERED_FROM = 'X-Foreman-Answered-From'

// A show is 1 to 30 KB, a verbose one a few MB; one of each for every model of a large library fits.
const SHOWS_MAX = 256
const BYTES_MAX = 32 * 1024 ** 2
/** What is longer passes by as it comes, and is not remembered. */
export const REMEMBERED_BYTES_MAX = 8 * 1024 ** 2

const GIN_JSON = 'application/json; charset=utf-8'
const PLAIN_JSON = 'application/json'
const MODELS = '/v1/models'

const headerOf = (headers: Whole['headers'], name: string): string =>
  headers.find(([key]) => key.toLowerCase() === name)?.[1] ?? ''

/** Answers in the target's place, each marked as such. */
const createReplies = ({ view, clock }: KnownDeps) => {
  const header = (at: number): [string, string] => {
    const shown = new Date(clock.wallAt?.(at) ?? at).toISOString()
    return [ANSWERED_FROM, `memory; at=${shown}`]
  }
  const polledAt = () => view().lastPollAt ?? clock.now()
  const give = (bytes: Uint8Array, contentType: string, at = polledAt()) =>
    new Response(bytes.slice(), { headers: [['Content-Type', contentType], header(at)] })
  return {
    give,
    /** Made of the last list of models. */
    fromList(contentType: string, make: (tagsBody: Uint8Array) => Uint8Array | null): Response | null {
      const { tagsBody } = view()
      const bytes = tagsBody === null ? null : make(tagsBody)
      return bytes === null ? null : give(bytes, contentType)
    },
    /** In the words of Ollama for a model that it does not have. */
    notFound: (flavour: Flavour, name: string) =>
      refusal(flavour, 404, `model '${name}' not found`, [header(polledAt())]),
  }
}

/** Questions whose answers are kept as they were heard. */
const createRecall = ({ clock }: KnownDeps, { give }: ReturnType<typeof createReplies>) => {
  const memory = createMemory({ entriesMax: SHOWS_MAX, bytesMax: BYTES_MAX })
  /** To the byte as it was heard, while `holds` is what it was then; else made by `build`. */
  return (key: string, member: string, holds: () => unknown, build: () => Response | null): Question => {
    // An answer that is on its way while models change is one about those before.
    const asked = holds()
    return {
      member,
      answer() {
        const found = memory.find(key, holds())
        return found === null ? build() : give(found.bytes, found.contentType, found.at)
      },
      heard({ status, headers, bytes }) {
        if (status !== 200 || headerOf(headers, 'content-encoding') !== '') return
        const contentType = headerOf(headers, 'content-type')
        memory.keep(key, { contentType, bytes, at: clock.now(), holds: asked })
      },
    }
  }
}

/** The memory of one foreman. */
export const createKnown = (deps: KnownDeps): Known => {
  const { view } = deps
  const replies = createReplies(deps)
  const recall = createRecall(deps, replies)
  const list = () => view().tagsBody

  /** Of the last poll. */
  const polled = (member: string, bytes: () => Uint8Array | null): Question => ({
    member,
    answer() {
      const known = bytes()
      return known === null ? null : replies.give(known, GIN_JSON)
    },
    heard: () => undefined,
  })

  const modelNamed = (name: string, flavour: Flavour): Question =>
    recall(`${MODELS}/${name}`, 'id', list, () => {
      const parsed = parseModelName(name)
      if (parsed.kind !== 'name' || view().inventory.size === 0) return null
      const built = replies.fromList(PLAIN_JSON, (tagsBody) => modelOf(tagsBody, name))
      return built ?? replies.notFound(flavour, displayName(parsed.name))
    })

  const shown = ({ key, name, canonicalModel, cloud }: Shown, flavour: Flavour): Question => {
    const digest = () => view().inventory.get(canonicalModel)?.digest
    return recall(`show ${key}`, 'details', digest, () => {
      const { inventory } = view()
      // The last known list decides, as it does for a chat; an empty one turns nobody away.
      const isGone = !cloud && inventory.size > 0 && !inventory.has(canonicalModel)
      return isGone ? replies.notFound(flavour, name) : null
    })
  }

  return {
    question(route, request, body) {
      switch (route.path) {
        case '/api/version':
          return polled('version', () => {
            const { version } = view()
            return version === null ? null : new TextEncoder().encode(JSON.stringify({ version }))
          })
        case '/api/tags':
          return polled('models', list)
        case '/api/ps':
          return polled('models', () => view().psBody)
        case '/api/status':
          return recall(route.path, 'cloud', nothing, nothing)
        case MODELS:
          return recall(MODELS, 'data', list, () => replies.fromList(PLAIN_JSON, modelList))
        case `${MODELS}/:model`:
          return modelNamed(decodedPath(pathOf(request)).slice(MODELS.length + 1), route.flavour)
        case '/api/show': {
          const asked = body === null ? null : readShow(body, request.headers.get('user-agent') ?? '')
          return asked === null ? null : shown(asked, route.flavour)
        }
        default:
          return null
      }
    },
  }
}

const nothing = () => null
