/** Watches one request beside the queue: a silent target is asked soon whether it is there; it must never end what a living target works on. */
import type { Clock } from '../../domain/clock.ts'
import { Countdown, Counted } from '../../engine/countdown.ts'
import { createLiveness, type Liveness } from '../../engine/liveness.ts'
import type { Probed } from '../../engine/probe.ts'

// A moment without an answer and a short question after it: two seconds in all, with room for what is said then.
const SILENCE_MS = 900
const QUESTION_MS = 850

/**
 * What ends a request that nothing was heard of. `doubt`: one short question without an answer, for what can be answered from memory or asked
 * again. `absence`: the target is known to be away and does not answer a full question. `liveness`: only the slow count of every running request.
 */
export type EndsOn = 'doubt' | 'absence' | 'liveness'

export interface WatchDeps {
  readonly clock: Clock
  /** Who answers on a fresh connection. */
  readonly probe: (signal?: AbortSignal) => Promise<Probed>
  /** The same within a moment. */
  readonly glance: () => Promise<Probed>
  /** The target is not as its state says: whoever keeps that should look now, and not at the next poll. */
  readonly lookNow: () => void
  readonly onReachability: (listener: (reachable: boolean) => void) => () => void
}

/** Whoever is watched. */
export interface Watched {
  readonly endsOn: EndsOn
  /** To be asked again costs nothing: once the target is known to be away, a short question is enough. */
  readonly isCheap: boolean
  /** The target seems to be missing. */
  doubted(): void
  /** It is: called once. */
  lost(): void
}

export interface Watch {
  /** Bytes came: the target lives. */
  saw(): void
  /** The client has the beginning of the answer: from here on only the slow count ends it. */
  begun(): void
  stop(): void
}

/** One short question; those who ask at the same time share it. */
export const createGlance = ({ clock, probe }: Pick<WatchDeps, 'clock' | 'probe'>): (() => Promise<Probed>) => {
  let asking: Promise<Probed> | null = null
  const ask = async () => {
    const giveUp = new AbortController()
    const late = Promise.withResolvers<Probed>()
    const cancel = clock.after(QUESTION_MS, () => {
      giveUp.abort()
      late.resolve({ kind: 'away', message: 'it says nothing', reached: false })
    })
    try {
      return await Promise.race([probe(giveUp.signal), late.promise])
    } finally {
      cancel()
    }
  }
  return () => {
    asking ??= ask().finally(() => {
      asking = null
    })
    return asking
  }
}

/** One request. It costs little until its first moment of silence. */
class Watching extends Counted implements Watch {
  readonly #deps: Hub
  readonly #watched: Watched
  #hasBegun = false
  #isOver = false
  #heardAtMs: number
  // Most answers come at once: what counts their silence begins with the first moment of it.
  #liveness: Liveness | null = null

  constructor(deps: Hub, watched: Watched, nowMs: number) {
    super()
    this.#deps = deps
    this.#watched = watched
    this.#heardAtMs = nowMs
  }

  /** A moment of silence has passed. */
  ranOut(): void {
    const { silent, glance } = this.#deps
    silent.add(this)
    this.#count()
    void this.#ask(glance, this.#watched.endsOn === 'doubt')
  }

  /** The target is known to be away. */
  unreachable(): void {
    const { glance, probe } = this.#deps
    const { endsOn, isCheap } = this.#watched
    if (endsOn !== 'liveness') void this.#ask(isCheap ? glance : probe, true)
  }

  saw(): void {
    this.#heardAtMs = this.#deps.clock.monotonicMs()
    this.#liveness?.saw()
  }

  begun(): void {
    this.#hasBegun = true
    this.#rest()
    if (!this.#isOver) this.#count()
    this.saw()
  }

  stop(): void {
    this.#isOver = true
    this.#rest()
    this.#liveness?.stop()
  }

  /** No question can end it any more. */
  #rest(): void {
    this.#deps.moment.end(this)
    this.#deps.silent.delete(this)
  }

  #count(): void {
    const { clock, probe } = this.#deps
    this.#liveness ??= createLiveness({
      probe: async () => (await probe()).kind === 'ollama',
      clock,
      onLost: () => this.#lose(),
    })
  }

  #lose(): void {
    if (this.#isOver) return
    this.stop()
    this.#deps.lookNow()
    this.#watched.lost()
  }

  async #ask(question: () => Promise<Probed>, decides: boolean): Promise<void> {
    const askedAtMs = this.#deps.clock.monotonicMs()
    if (this.#isSettled() || (await question()).kind === 'ollama') return
    // Bytes that came meanwhile are as good as an answer.
    if (this.#isSettled() || this.#heardAtMs > askedAtMs) return
    this.#watched.doubted()
    if (decides) this.#lose()
    else this.#deps.lookNow()
  }

  #isSettled(): boolean {
    return this.#hasBegun || this.#isOver
  }
}

/** What all who are watched share. */
interface Hub extends WatchDeps {
  readonly moment: Countdown<Watching>
  /** Those whose moment is over, and whose answer has not begun. */
  readonly silent: Set<Watching>
}

/** Watches requests from `nowMs` on. */
export const createWatches = (deps: WatchDeps): ((watched: Watched, nowMs: number) => Watch) => {
  const moment = new Countdown<Watching>(deps.clock, SILENCE_MS)
  const hub: Hub = { ...deps, moment, silent: new Set() }
  deps.onReachability((reachable) => {
    if (reachable) return
    for (const one of [...hub.silent, ...moment.all()]) one.unreachable()
  })
  return (watched, nowMs) => {
    const watching = new Watching(hub, watched, nowMs)
    moment.begin(watching, nowMs)
    return watching
  }
}
