/** Faults on command and who is hit by which; it must never decide how a fault looks on the wire. */
import type { Impostor, ImpostorName } from './impostor.ts'

/** What can go wrong. `chunks` counts HTTP body chunks that still arrive whole; default 1. */
export type FaultKind =
  /** The listener is closed and idle connections are dropped, until cleared. `times` and `path` mean nothing here. */
  | { readonly kind: 'refuse' }
  | { readonly kind: 'hang-before-headers' }
  | { readonly kind: 'hang-after-headers' }
  /** RST. A body with a Content-Length is cut in its middle. */
  | {
      readonly kind: 'reset'
      readonly phase: 'before-headers' | 'after-headers' | 'mid-body'
      readonly chunks?: number
    }
  /** FIN without the terminating 0-chunk, or in the middle of a body with a Content-Length. */
  | { readonly kind: 'truncate'; readonly chunks?: number }
  /** A chunk whose size line is not hexadecimal, then FIN. */
  | { readonly kind: 'malformed-chunk'; readonly chunks?: number }
  /** An error in the API's own shape before any body byte; status 500 unless given. */
  | { readonly kind: 'error-before'; readonly text: string; readonly status?: number }
  /** The runner dies after so many tokens; each API shows it in its own way. Not a generation: as error-before. */
  | { readonly kind: 'error-mid-stream'; readonly text: string; readonly chunks?: number }
  /** Out of memory: while running (default; every model is unloaded) or while loading. */
  | { readonly kind: 'oom'; readonly phase?: 'run' | 'load' }
  /** Multiplies every delay of the request. */
  | { readonly kind: 'slow'; readonly factor: number }
  /** The machine sleeps: connects succeed, nothing is read, answered or closed, until cleared. */
  | { readonly kind: 'sleep' }
  /** Ollama is stopped and started: every connection ends in the middle of what it carries, nothing is loaded. Once, at once. */
  | { readonly kind: 'restart' }
  /** A proxy's or the cloud's answer. */
  | {
      readonly kind: 'status'
      readonly status: 429 | 502 | 503
      readonly retryAfter?: number | string
      readonly text?: string
    }
  /** Another server answers at this address, on every path and to every method: a known one by its name, or one as described. */
  | { readonly kind: 'impostor'; readonly as: ImpostorName | Impostor }

/**
 * One commanded fault. `times`: how many requests it hits (default: until cleared).
 * `path`: exact, or a prefix when it ends with `*` (default: every request, /api/tags and /api/version too).
 */
export type Fault = FaultKind & { readonly times?: number; readonly path?: string }

/** A fault that hits single requests. */
export type RequestFault = Exclude<Fault, { kind: 'refuse' | 'sleep' | 'restart' }>

/** The queue of faults: each request takes the first whose path fits and whose `times` is not used up. */
export interface FaultBoard {
  add(fault: RequestFault): void
  clear(): void
  take(path: string): RequestFault | undefined
  /** Faults still waiting, oldest first, with what is left of `times`. */
  list(): Fault[]
}

const fits = (filter: string | undefined, path: string): boolean => {
  if (filter === undefined) return true
  return filter.endsWith('*') ? path.startsWith(filter.slice(0, -1)) : path === filter
}

/** An empty board. Faults queue up in the order they were added; one without `times` hides those behind it. */
export const createFaultBoard = (): FaultBoard => {
  let waiting: { fault: RequestFault; left: number }[] = []
  return {
    add(fault) {
      waiting.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY })
    },
    clear() {
      waiting = []
    },
    take(path) {
      const hit = waiting.find(({ fault }) => fits(fault.path, path))
      if (!hit) return undefined
      hit.left--
      if (hit.left <= 0) waiting = waiting.filter((entry) => entry !== hit)
      return hit.fault
    },
    list: () => waiting.map(({ fault, left }) => (Number.isFinite(left) ? { ...fault, times: left } : fault)),
  }
}
