/** One try of one webhook: dial exactly what was checked, post, judge the answer; it must never throw for the network's sake nor follow a redirect. */
import type { Clock } from '../domain/clock.ts'
import { drainBody } from '../domain/wire/body.ts'
import { retryAfterMs } from '../domain/wire/retry-after.ts'
import type { ReceiverClient, ReceiverRequest, Reply, ReplyBody, SendLimits } from './client.ts'
import { createConnections, type Destination } from './connections.ts'
import { createResolver, type Resolved, type ResolverDeps } from './resolve.ts'
import { signatureHeaders } from './signature.ts'

/** What a delivery needs. */
export interface DeliveryDeps extends ResolverDeps {
  /** A client of this origin that dials this address and resolves nothing. */
  readonly open: (to: Destination) => ReceiverClient
  readonly clock: Clock
  readonly secrets: readonly string[]
  readonly version: string
  /** For all of a try: resolving, connecting, sending and the answer. 10 s by default. */
  readonly tryTimeoutMs?: number
}

/** A webhook to be posted. `id` is the same for every try of it. */
export interface WebhookPost {
  readonly url: string
  readonly id: string
  readonly body: Uint8Array
  /** Gives the try up at once; the outcome is then `aborted`. */
  readonly signal?: AbortSignal
}

/** What came of one try. */
export type DeliveryOutcome =
  | { readonly kind: 'accepted'; readonly status: number }
  /** 410: the receiver wants no more of it. */
  | { readonly kind: 'gone' }
  /** `isAnswer`: the receiver itself said no, so it is there. */
  | {
      readonly kind: 'retry'
      readonly reason: string
      readonly retryAfterMs: number | null
      readonly isAnswer: boolean
    }
  /** The policy lets it go nowhere; nothing was dialled. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'aborted' }

export interface Delivery {
  deliver(post: WebhookPost): Promise<DeliveryOutcome>
  /** Closes the connections that are kept for more. */
  close(): void
}

/** The two bounds of one try: its time, and whoever wants to stop. */
interface Bounds {
  readonly signal: AbortSignal
  /** Resolves once either has been reached, and says which. */
  readonly over: Promise<DeliveryOutcome>
  release(): void
}

const TRY_TIMEOUT_MS = 10_000
const ANSWER_BYTES_MAX = 65_536
// The status has said it all: the rest is read out of courtesy, so that the receiver's server logs no broken pipe.
const COURTESY_MS = 1_000

/** The webhooks' way out. */
export const createDelivery = (deps: DeliveryDeps): Delivery => {
  const { clock, secrets, version, tryTimeoutMs = TRY_TIMEOUT_MS } = deps
  const resolve = createResolver(deps)
  const connections = createConnections(deps.open, clock)

  const requestOf = (url: URL, { id, body }: WebhookPost): ReceiverRequest => {
    const timestampS = Math.floor(clock.now() / 1_000)
    const headers: [string, string][] = [
      ['Content-Type', 'application/json'],
      ['User-Agent', `foreman/${version}`],
      ...signatureHeaders({ id, timestampS, body, secrets }),
    ]
    return { method: 'POST', path: `${url.pathname}${url.search}`, headers, body }
  }

  const send = async (client: ReceiverClient, request: ReceiverRequest, limits: SendLimits): Promise<Reply> => {
    const reply = await client.send(request, { reuse: true, ...limits })
    // Closed by the receiver at the moment it was taken for this: what was sent there says nothing about the receiver.
    if (reply.kind === 'broken' && reply.reused) return client.send(request, { reuse: false, ...limits })
    return reply
  }

  /** Only a connection that never came up is tried at the name's next address: anything else may have been received. */
  const postAlong = async (
    { url, addresses }: Resolved & { kind: 'resolved' },
    post: WebhookPost,
    signal: AbortSignal,
  ): Promise<Reply> => {
    const request = requestOf(url, post)
    let reply: Reply = { kind: 'aborted' }
    for (const [i, address] of addresses.entries()) {
      // A first address without a way to it (IPv6, mostly) must leave time for the others.
      const connectTimeoutMs = i === addresses.length - 1 ? tryTimeoutMs : tryTimeoutMs / 4
      reply = await connections.through({ origin: url.origin, address }, async (client) => {
        const answer = await send(client, request, { signal, connectTimeoutMs })
        if (answer.kind === 'answered') await readAway(answer.body, clock)
        return answer
      })
      if (reply.kind !== 'unreached') break
    }
    return reply
  }

  return {
    async deliver(post) {
      if (post.signal?.aborted) return { kind: 'aborted' }
      const bounds = createBounds(clock, tryTimeoutMs, post.signal)
      try {
        // A lookup cannot be called back, so it is left behind when the time is up.
        const resolved = await Promise.race([resolve(post.url), bounds.over])
        if (resolved.kind === 'unresolved') return unheard(resolved.reason)
        if (resolved.kind !== 'resolved') return resolved
        const reply = await postAlong(resolved, post, bounds.signal)
        return reply.kind === 'aborted' ? await bounds.over : judge(reply)
      } finally {
        bounds.release()
      }
    },
    close: connections.close,
  }
}

const unheard = (reason: string): DeliveryOutcome => ({ kind: 'retry', reason, retryAfterMs: null, isAnswer: false })

const createBounds = (clock: Clock, timeoutMs: number, stop: AbortSignal | undefined): Bounds => {
  const controller = new AbortController()
  const giveUp = () => controller.abort()
  const cancelTimer = clock.after(timeoutMs, giveUp)
  stop?.addEventListener('abort', giveUp, { once: true })
  const over = new Promise<DeliveryOutcome>((resolve) => {
    const end = () => resolve(stop?.aborted ? { kind: 'aborted' } : unheard(`no answer within ${timeoutMs} ms`))
    controller.signal.addEventListener('abort', end, { once: true })
  })
  const release = () => {
    cancelTimer()
    stop?.removeEventListener('abort', giveUp)
  }
  return { signal: controller.signal, over, release }
}

const judge = (reply: Exclude<Reply, { kind: 'aborted' }>): DeliveryOutcome => {
  switch (reply.kind) {
    case 'answered': {
      const { status } = reply
      if (status >= 200 && status < 300) return { kind: 'accepted', status }
      if (status === 410) return { kind: 'gone' }
      const reason = `it answered ${status}${status < 400 ? ', and redirects are not followed' : ''}`
      return { kind: 'retry', reason, retryAfterMs: retryAfterMs(reply.headers), isAnswer: true }
    }
    case 'unreached':
      return unheard(`it could not be reached (${reply.code}): ${reply.message}`)
    case 'broken':
      return unheard(`the connection broke before an answer (${reply.code}): ${reply.message}`)
    default:
      return reply satisfies never
  }
}

/** Reads at most 64 KiB for at most a second, and keeps nothing. */
const readAway = async (body: ReplyBody, clock: Clock): Promise<void> => {
  if (body.complete !== null) return
  const cancelTimer = clock.after(COURTESY_MS, () => body.cancel())
  await drainBody(body, { max: ANSWER_BYTES_MAX })
  cancelTimer()
  body.cancel()
}
