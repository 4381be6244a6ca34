/** Another server that speaks Ollama's wire, opened by a part: a caller's request goes there as it would to the target, and its answer comes back by the same way. */
import type { Clock } from '../domain/clock.ts'
import type { Outcome } from '../domain/job/outcome.ts'
import type { HeaderPairs } from '../domain/wire/headers.ts'
import { work } from './attempt.ts'
import type { Caller } from './caller.ts'
import { createLiveness } from './liveness.ts'
import type { SendTarget } from './ports.ts'
import { type Probed, probeOllama } from './probe.ts'
import type { Stopper } from './stopper.ts'

export interface Place {
  readonly url: string
  readonly token: string | null
}

/** A client that can be closed. */
export interface OpenedTarget extends SendTarget {
  close(): void
}

export type OpenTarget = (place: Place) => OpenedTarget

/** What is sent in place of the caller's own. */
export interface Errand {
  readonly headers: HeaderPairs
  readonly body: Uint8Array
}

export interface Elsewhere {
  readonly origin: string
  probe(): Promise<Probed>
  /** Sends it and passes the answer on; silence is no fault while the server answers beside it. */
  serve(caller: Caller, errand: Errand, stopper: Stopper): Promise<Outcome>
  close(): void
}

export interface ElsewhereDeps {
  readonly open: OpenTarget
  readonly place: Place
  readonly clock: Clock
  /** Bound on all of an answer. */
  readonly jobTimeoutMs: number
}

/** Opens nothing before it is used. */
export const createElsewhere = ({ open, place, clock, jobTimeoutMs }: ElsewhereDeps): Elsewhere => {
  const target = open(place)
  const probe = async () => (await probeOllama(target)).kind === 'ollama'
  return {
    origin: target.origin ?? place.url,
    probe: () => probeOllama(target),
    async serve(caller, errand, stopper) {
      const liveness = createLiveness({ probe, clock, onLost: () => stopper.stop({ kind: 'lost' }) })
      const cancelTimeout = clock.after(jobTimeoutMs, () => stopper.stop({ kind: 'timeout' }))
      try {
        if (stopper.why !== null) return stopper.why
        return await work({ target, clock, probe, saw: liveness.saw, stopper }, caller, errand)
      } finally {
        liveness.stop()
        cancelTimeout()
      }
    },
    close: () => target.close(),
  }
}
