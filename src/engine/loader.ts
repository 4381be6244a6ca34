/** The load in progress, if any: it belongs to foreman and not to a client, so that one who leaves does not end it for others. */
import type { Outcome } from '../domain/job/outcome.ts'

/** `unknown`: the load was refused; the request itself will say why. */
export type Loaded = 'loaded' | 'unknown' | Outcome

export interface Loader {
  /** The residency key being loaded now. */
  readonly loadingKey: string | null
  /** No job waits for the load in progress: it is foreman's own. */
  readonly isOwn: boolean
  /** Joins the load of `key` in progress, or ends any other and starts this one. `own`: no job asks for it. */
  ensure(key: string, start: (signal: AbortSignal) => Promise<Loaded>, own?: 'own'): Promise<Loaded>
  /** Ends the load in progress: nobody waits for it. */
  abort(): void
}

/** A loader with nothing in progress. */
export const createLoader = (): Loader => {
  let current: { key: string; isOwn: boolean; controller: AbortController; loaded: Promise<Loaded> } | null = null
  const abort = () => {
    current?.controller.abort()
    current = null
  }
  return {
    get loadingKey() {
      return current?.key ?? null
    },
    get isOwn() {
      return current?.isOwn ?? false
    },
    ensure(key, start, own) {
      if (current?.key === key) {
        current.isOwn &&= own === 'own'
        return current.loaded
      }
      abort()
      const controller = new AbortController()
      const mine = { key, isOwn: own === 'own', controller, loaded: start(controller.signal) }
      current = mine
      const finished = () => {
        if (current === mine) current = null
      }
      mine.loaded.then(finished, finished)
      return mine.loaded
    },
    abort,
  }
}
