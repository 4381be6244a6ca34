/** The client that webhooks are posted with, as the webhooks want to see it; types only, the one of the target happens to fit. */

import type { HeaderPairs } from '../domain/wire/headers.ts'
import type { Reply } from '../domain/wire/reply.ts'

export type { BodyRead, Reply, ReplyBody } from '../domain/wire/reply.ts'

export interface ReceiverRequest {
  readonly method: string
  readonly path: string
  readonly headers: HeaderPairs
  readonly body: Uint8Array
}

export interface SendLimits {
  readonly signal: AbortSignal
  readonly connectTimeoutMs: number
}

/** Of one origin at one address. Network trouble is a value, never a rejection. */
export interface ReceiverClient {
  /** `reuse` may take a connection that is open already, and leaves its own open. */
  send(request: ReceiverRequest, options: SendLimits & { readonly reuse: boolean }): Promise<Reply>
  close(): void
}
