/** One message to an address that the owner has set, on a connection of its own; it must never follow a redirect nor throw for the network's sake. */
import { withoutCredentials } from '../domain/credentials.ts'
import { drainBody } from '../domain/wire/body.ts'
import type { HeaderPairs } from '../domain/wire/headers.ts'
import type { SendTarget } from './ports.ts'

export interface Message {
  readonly method?: 'GET' | 'POST'
  /** http or https; a user and password in it are sent as such. */
  readonly url: string
  readonly headers?: HeaderPairs
  readonly body?: string
  /** For the whole of it, 10 s by default. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** `failed`: there was no answer; `aborted`: whoever sent it gave up. */
export type Posted =
  | { readonly kind: 'answered'; readonly status: number; readonly headers: HeaderPairs }
  | { readonly kind: 'failed'; readonly message: string; readonly mayHaveArrived: boolean }
  | { readonly kind: 'aborted' }

export type Post = (message: Message) => Promise<Posted>

/** Opens a client of an origin, which whoever opened it closes. */
export type OpenOrigin = (origin: string) => Pick<SendTarget, 'send'> & { close(): void }

const WHOLE_TIMEOUT_MS = 10_000
const ANSWER_BYTES_MAX = 65_536

/** The way out for what is neither a call nor a webhook. */
export const createPost =
  (open: OpenOrigin): Post =>
  async ({ method = 'POST', url, headers = [], body, timeoutMs = WHOLE_TIMEOUT_MS, signal }) => {
    const { url: to, headers: credentials } = withoutCredentials(url)
    const client = open(to.origin)
    try {
      const reply = await client.send(
        {
          method,
          path: `${to.pathname}${to.search}`,
          headers: [...headers, ...credentials],
          body: body === undefined ? null : new TextEncoder().encode(body),
        },
        { reuse: false, wholeTimeoutMs: timeoutMs, connectTimeoutMs: timeoutMs, ...(signal && { signal }) },
      )
      if (reply.kind === 'aborted') return reply
      if (reply.kind !== 'answered')
        return { kind: 'failed', message: reply.message, mayHaveArrived: reply.kind === 'broken' }
      await drainBody(reply.body, { max: ANSWER_BYTES_MAX })
      return { kind: 'answered', status: reply.status, headers: reply.headers }
    } finally {
      client.close()
    }
  }
