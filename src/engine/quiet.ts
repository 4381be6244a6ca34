/** Lets something run on the target only while no job runs or waits there; it must never hold a job up. */

/** `over`: foreman stops, and it will not be quiet again. */
export type Quieted<T> =
  | { readonly kind: 'ran'; readonly value: T }
  | { readonly kind: 'gave-way' }
  | { readonly kind: 'over' }

export interface Quiet {
  /**
   * Runs `work` in the next quiet moment, one at a time, in the order they came. When a job comes, `signal` fires and the result is
   * `gave-way`, whatever the work still does; so it is when `until` fires before its turn. What the work throws is the caller's.
   */
  run<T>(work: (signal: AbortSignal) => Promise<T>, until?: AbortSignal): Promise<Quieted<T>>
}

/** The side of it that knows about jobs. */
export interface QuietMoments extends Quiet {
  /** A job comes: whatever runs gives way at once. */
  disturb(): void
  /** It may be quiet now. */
  look(): void
  /** Nothing runs any more, and whoever waits gives way. */
  close(): void
}

interface Waiting {
  begin(): Promise<void>
  giveWay(kind: 'gave-way' | 'over'): void
}

/** `isQuiet`: no job runs or waits, and the target can be reached. */
export const createQuiet = (isQuiet: () => boolean): QuietMoments => {
  const waiting = new Set<Waiting>()
  let running: Waiting | null = null
  let isClosed = false

  const look = () => {
    if (running !== null || isClosed || !isQuiet()) return
    const [next] = waiting
    if (next === undefined) return
    waiting.delete(next)
    running = next
    void next.begin().finally(() => {
      if (running === next) running = null
      look()
    })
  }

  return {
    look,
    run: (work, until) =>
      new Promise((resolve, reject) => {
        const controller = new AbortController()
        const giveWay = (kind: 'gave-way' | 'over') => {
          waiting.delete(mine)
          controller.abort()
          resolve({ kind })
        }
        const calledBack = () => giveWay('gave-way')
        const mine: Waiting = {
          giveWay,
          async begin() {
            try {
              const value = await work(controller.signal)
              resolve({ kind: 'ran', value })
            } catch (error) {
              reject(error)
            } finally {
              until?.removeEventListener('abort', calledBack)
            }
          },
        }
        if (isClosed) return giveWay('over')
        if (until?.aborted) return calledBack()
        until?.addEventListener('abort', calledBack, { once: true })
        waiting.add(mine)
        look()
      }),
    disturb() {
      const gone = running
      // The next one does not wait for work that is slow to notice.
      running = null
      gone?.giveWay('gave-way')
    },
    close() {
      isClosed = true
      running?.giveWay('over')
      for (const one of [...waiting]) one.giveWay('over')
    },
  }
}
