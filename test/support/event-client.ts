/** A reader of server-sent events that keeps when each one came; it must never reconnect or skip anything, comments included. */

export interface SeenEvent {
  /** `transition`, `chunk`, or `comment`. */
  readonly event: string
  readonly id: string | null
  readonly data: string
  /** performance.now at arrival. */
  readonly at: number
}

export interface EventClient {
  readonly status: number
  readonly events: readonly SeenEvent[]
  /** Resolves with the first event that fits, past or future; rejects when the stream ends before. */
  until(fits: (event: SeenEvent) => boolean): Promise<SeenEvent>
  /** Resolves when the stream has ended. */
  ended: Promise<void>
  close(): void
}

const parse = (frame: string): SeenEvent => {
  const lines = frame.split('\n')
  const values = (name: string) => lines.filter((l) => l.startsWith(`${name}: `)).map((l) => l.slice(name.length + 2))
  const isComment = frame.startsWith(':')
  return {
    event: isComment ? 'comment' : (values('event')[0] ?? 'message'),
    id: values('id')[0] ?? null,
    data: isComment ? frame.slice(1).trim() : values('data').join('\n'),
    at: performance.now(),
  }
}

/** Opens a stream. */
export const followEvents = async (url: string, headers: Record<string, string> = {}): Promise<EventClient> => {
  const leaving = new AbortController()
  const response = await fetch(url, { headers, signal: leaving.signal })
  const events: SeenEvent[] = []
  let watchers: (() => void)[] = []
  let isOver = false
  const changed = () => {
    for (const watch of [...watchers]) watch()
  }
  const read = async () => {
    const decoder = new TextDecoder()
    let rest = ''
    try {
      for await (const bytes of response.body ?? []) {
        const frames = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
        rest = frames.pop() ?? ''
        events.push(...frames.map(parse))
        changed()
      }
    } finally {
      isOver = true
      changed()
    }
  }
  const ended = read().catch((error: unknown) => {
    if (!leaving.signal.aborted) throw error
  })
  return {
    status: response.status,
    events,
    ended,
    until: (fits) =>
      new Promise((resolve, reject) => {
        const watch = () => {
          const event = events.find(fits)
          if (event === undefined && !isOver) return
          watchers = watchers.filter((other) => other !== watch)
          if (event === undefined) reject(new Error(`ended after ${JSON.stringify(events).slice(0, 2_000)}`))
          else resolve(event)
        }
        watchers.push(watch)
        watch()
      }),
    close: () => leaving.abort(),
  }
}
