/** The paths that neither foreman nor this version of the target knows: nobody waits in the queue only to hear that there is no such page. */

export interface Strangers {
  has(path: string): boolean
  add(path: string): void
  /** The target was asked at once and has answered. */
  answered(path: string, status: number): void
}

// Clients have a handful of them; whoever invents more is not remembered.
const PATHS_MAX = 64

/** Whether an answer is Go's own for a path without a route; Ollama's other 404s are JSON. */
export const isNoRoute = ({ status, headers }: Response): boolean =>
  status === 404 && /^text\/plain\b/.test(headers.get('content-type') ?? '')

/** A memory that lasts as long as the target's version. */
export const createStrangers = (version: () => string | null): Strangers => {
  const paths = new Set<string>()
  let learnedOf: string | null = null
  const known = () => {
    const now = version()
    if (now !== learnedOf) paths.clear()
    learnedOf = now
    return paths
  }
  return {
    has: (path) => known().has(path),
    add(path) {
      if (known().size < PATHS_MAX) paths.add(path)
    },
    answered(path, status) {
      // A newer version than the last poll saw.
      if (status !== 404) paths.delete(path)
    },
  }
}
