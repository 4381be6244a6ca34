/** The lines of a pull or a create: how far it is, how it ended and whose fault that is; it must never take a cut line for an end. */

export interface Progress {
  /** Ollama's own word, such as `pulling 6a0746a1ec1a`. */
  readonly status: string
  readonly completedBytes: number
  /** Of the layers that are known so far; 0 = none yet. */
  readonly totalBytes: number
}

export interface Transfer {
  /** One line as it came; returns what to show, or null when it says nothing new. */
  line(text: string): Progress | null
  /** How it ended; `cut`: the last line never came. */
  end(): { readonly kind: 'success' } | { readonly kind: 'failed'; readonly message: string } | { readonly kind: 'cut' }
  readonly completedBytes: () => number
}

const numberIn = (value: unknown): number => (typeof value === 'number' && value > 0 ? value : 0)

const parsed = (text: string): Record<string, unknown> => {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>
  } catch {
    // Half a line: the stream was cut, and its end says so.
    return {}
  }
}

/** A transfer of which nothing has come. */
export const createTransfer = (): Transfer => {
  const layers = new Map<string, { completed: number; total: number }>()
  let isSuccess = false
  let error: string | null = null
  const sum = (of: 'completed' | 'total') => [...layers.values()].reduce((bytes, layer) => bytes + layer[of], 0)
  return {
    line(text) {
      const { status, digest, completed, total, error: said } = parsed(text)
      if (typeof said === 'string') error = said
      if (typeof status !== 'string') return null
      isSuccess ||= status === 'success'
      if (typeof digest === 'string' && numberIn(total) > 0)
        layers.set(digest, { completed: numberIn(completed), total: numberIn(total) })
      return { status, completedBytes: sum('completed'), totalBytes: sum('total') }
    },
    end() {
      if (error !== null) return { kind: 'failed', message: error }
      return isSuccess ? { kind: 'success' } : { kind: 'cut' }
    },
    completedBytes: () => sum('completed'),
  }
}

/** Whether a pull failed because the registry could not be reached: nothing is wrong with the name. */
export const isRegistryAway = (message: string): boolean =>
  /no such host|connection refused|network is unreachable|no route to host|i\/o timeout|deadline exceeded|TLS handshake|server misbehaving|connection reset|EOF$|50[234]/i.test(
    message,
  )
