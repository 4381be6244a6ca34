/** What a request beside the queue is sent with. */
import type { Failure } from '../../domain/job/failure.ts'
import type { Flavour } from '../../domain/wire/routes.ts'
import type { EndsOn } from './watch.ts'

/** A whole answer that the target gave. */
export interface Whole {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly bytes: Uint8Array
}

export interface Gathering {
  /** What is longer is passed on as it comes. */
  readonly bytesMax: number
  /** A member that Ollama's answer has: one without it is looked at twice. */
  readonly member: string
  /** Called with an answer that is an Ollama's. */
  heard(whole: Whole): void
}

/** Whoever may answer in the target's place. */
export interface StandIn {
  /** How long from now the target is waited for first. */
  afterMs(): number
  /** Null: it cannot or will not, and the client has seen nothing. */
  serve(why: Failure): Promise<Response | null>
  /** The target's own answer, marked as such. */
  mark(response: Response): Response
}

export interface ForwardOptions {
  readonly flavour: Flavour
  /** The body already read; null = none; 'stream' = pass the request's own on, whatever its size. */
  readonly body: Uint8Array | null | 'stream'
  /** May run twice: a stale socket or a sleeping target is tried again. */
  readonly repeatable: boolean
  /** Bear an absent target until the deadline instead of saying so at once. */
  readonly patient: boolean
  readonly endsOn: EndsOn
  /** Called when the answer goes on after its head. */
  readonly onStream: () => void
  /** Called with the status once the whole answer has gone by. */
  readonly onEnd: (status: number) => void
  /** Read whole before any of it is handed on, so that a target that falls silent on the way can be answered for; null = passed on as it comes. */
  readonly gather?: Gathering | null
  readonly standIn?: StandIn | undefined
  /** What to say when the target says nothing; null = the failure itself. */
  readonly instead?: () => Response | null
}

export type Forward = (request: Request, options: ForwardOptions) => Promise<Response>
