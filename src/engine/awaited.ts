/** Whether somebody waits for the target to come back: callers of the queue, and those beside it, who say so here. */
import type { Callers } from './caller.ts'

export interface Awaited {
  isAwaited(): boolean
  /** Somebody beside the queue waits; the returned function says that it waits no longer. */
  begin(): () => void
  /** Fires when nobody is to wait any more. */
  readonly over: AbortSignal
  close(): void
}

export interface AwaitedDeps {
  readonly callers: Pick<Callers, 'size'>
  /** The target is to be asked sooner. */
  readonly hurry: () => void
}

/** Nobody waits beside the queue yet. */
export const createAwaited = ({ callers, hurry }: AwaitedDeps): Awaited => {
  const over = new AbortController()
  let beside = 0
  return {
    isAwaited: () => callers.size + beside > 0,
    begin() {
      let waits = true
      beside++
      hurry()
      return () => {
        if (waits) beside--
        waits = false
      }
    },
    over: over.signal,
    close: () => over.abort(),
  }
}
