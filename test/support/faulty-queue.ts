/** A queue whose database refuses on command, as a full disk does: the operation fails and changes nothing. */
import type { StoredQueue } from '../../src/engine/ports.ts'

export type QueueOperation = 'submit' | 'claim' | 'advance' | 'settle' | 'withdraw'

export interface FaultyQueue {
  readonly queue: StoredQueue
  /** How many of the next calls of each operation are refused. */
  readonly refuse: Record<QueueOperation, number>
  /** Calls so far, refused ones included. */
  readonly calls: Record<QueueOperation, number>
}

const none = () => ({ submit: 0, claim: 0, advance: 0, settle: 0, withdraw: 0 })

/** Puts refusals in front of a real queue. */
export const createFaultyQueue = (real: StoredQueue): FaultyQueue => {
  const refuse = none()
  const calls = none()
  const check = (operation: QueueOperation) => {
    calls[operation]++
    if (refuse[operation] === 0) return
    refuse[operation]--
    throw new Error('database or disk is full')
  }
  const guard = async <T>(operation: QueueOperation, run: () => Promise<T>): Promise<T> => {
    check(operation)
    return run()
  }
  return {
    refuse,
    calls,
    queue: {
      submit: (...args) => guard('submit', () => real.submit(...args)),
      enter(...args) {
        check('submit')
        return real.enter(...args)
      },
      claim: (...args) => guard('claim', () => real.claim(...args)),
      advance: (...args) => guard('advance', () => real.advance(...args)),
      settle: (...args) => guard('settle', () => real.settle(...args)),
      withdraw: (...args) => guard('withdraw', () => real.withdraw(...args)),
      takeAside: (...args) => real.takeAside(...args),
      moveAside: (...args) => real.moveAside(...args),
      forFallback: (limit) => real.forFallback(limit),
      isEmpty: real.isEmpty,
      known: (idempotency) => real.known(idempotency),
      release: (running, now) => real.release(running, now),
      hasReady: (key) => real.hasReady(key),
      recover: (now, slots) => real.recover(now, slots),
      requestBody: (seq) => real.requestBody(seq),
    },
  }
}
