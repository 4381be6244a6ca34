/** Watches one request beside the queue: a silent target is asked soon whether it is there; it must never end what a living target works on. */
import type { Clock } from '../../domain/clock.ts'
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

export interface WatchOptions {
  readonly endsOn: EndsOn
  /** To be asked again costs nothing: once the target is known to be away, a short question is enough. */
  readonly isCheap?: boolean
  /** The target seems to be missing. */
  readonly doubted: () => void
  /** It is: called once. */
  readonly lost: () => void
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

/** Begins to watch. */
export const createWatch = (
  { clock, probe, glance, lookNow, onReachability }: WatchDeps,
  { endsOn, isCheap = false, doubted, lost }: WatchOptions,
): Watch => {
  let hasBegun = false
  let isOver = false
  let heardAtMs = clock.monotonicMs()
  // Most answers come at once: what counts their silence begins with the first moment of it.
  let liveness: Liveness | null = null
  const stop = () => {
    isOver = true
    cancel()
    unsubscribe()
    liveness?.stop()
  }
  const lose = () => {
    if (isOver) return
    stop()
    lookNow()
    lost()
  }
  const ask = async (question: () => Promise<Probed>, decides: boolean) => {
    const askedAtMs = clock.monotonicMs()
    if (hasBegun || isOver || (await question()).kind === 'ollama') return
    // Bytes that came meanwhile are as good as an answer.
    if (hasBegun || isOver || heardAtMs > askedAtMs) return
    doubted()
    if (decides) lose()
    else lookNow()
  }
  const count = () => {
    liveness ??= createLiveness({ probe: async () => (await probe()).kind === 'ollama', clock, onLost: lose })
  }
  const cancel = clock.after(SILENCE_MS, () => {
    count()
    void ask(glance, endsOn === 'doubt')
  })
  const unsubscribe = onReachability((reachable) => {
    if (!reachable && endsOn !== 'liveness') void ask(isCheap ? glance : probe, true)
  })
  const saw = () => {
    heardAtMs = clock.monotonicMs()
    liveness?.saw()
  }
  return {
    saw,
    begun() {
      hasBegun = true
      cancel()
      if (!isOver) count()
      saw()
    },
    stop,
  }
}
