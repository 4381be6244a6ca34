/** What comes back of a request over HTTP: an answer that is read step by step, or why there is none; network trouble is a value here. */
import type { HeaderPairs } from './headers.ts'

export type BodyRead =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly code: string; readonly message: string }
  | { readonly kind: 'aborted' }

export interface ReplyBody {
  /** The whole body where it had arrived with the head. */
  readonly complete: Uint8Array | null
  /** How many of the sender's chunks `complete` is; one where that is not known. */
  readonly chunks?: number
  read(): Promise<BodyRead>
  /** Closes the connection unless the whole body has arrived. */
  cancel(): void
}

export type Reply =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly headers: HeaderPairs
      readonly body: ReplyBody
      /** The body ends where the connection does: one that was cut off looks the same. */
      readonly untilClose?: boolean
    }
  /** The other side never got the request. */
  | { readonly kind: 'unreached'; readonly code: string; readonly message: string }
  /** It may have got it. `reused`: on a connection that had carried another before. */
  | { readonly kind: 'broken'; readonly code: string; readonly message: string; readonly reused: boolean }
  | { readonly kind: 'aborted' }
