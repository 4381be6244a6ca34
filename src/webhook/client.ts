/** The client that webhooks are posted with, as the webhooks want to see it; types only, the one of the target happens to fit. */

type HeaderPairs = readonly (readonly [string, string])[]

export type BodyRead =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly code: string; readonly message: string }
  | { readonly kind: 'aborted' }

export interface ReplyBody {
  /** The whole body where it had arrived with the head. */
  readonly complete: Uint8Array | null
  read(): Promise<BodyRead>
  /** Closes the connection unless the whole body has arrived. */
  cancel(): void
}

export type Reply =
  | { readonly kind: 'answered'; readonly status: number; readonly headers: HeaderPairs; readonly body: ReplyBody }
  /** The receiver never got the request. */
  | { readonly kind: 'unreached'; readonly code: string; readonly message: string }
  /** It may have got it. `reused`: on a connection that had carried another before. */
  | { readonly kind: 'broken'; readonly code: string; readonly message: string; readonly reused: boolean }
  | { readonly kind: 'aborted' }

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
