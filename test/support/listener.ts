/** A server that keeps whatever comes, to the byte, and answers as the test says; it must never judge. */

export interface Heard {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly text: string
}

export interface Listener {
  readonly url: string
  readonly receipts: readonly Heard[]
  /** Resolves with all that came once it is this much. */
  until(count: number, limitMs?: number): Promise<readonly Heard[]>
  stop(): Promise<void>
}

const LIMIT_MS = 15_000

/** Starts one; `answer` gives the status for the `count`th request. */
export const startListener = (answer: (count: number) => number = () => 204): Listener => {
  const receipts: Heard[] = []
  const waiting = new Set<() => void>()
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      const text = await request.text()
      const { pathname: path } = new URL(request.url)
      receipts.push({ method: request.method, path, headers: request.headers, text })
      const status = answer(receipts.length)
      for (const look of waiting) look()
      return new Response(null, { status })
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    receipts,
    until: (count, limitMs = LIMIT_MS) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (receipts.length < count) return
          waiting.delete(look)
          clearTimeout(timer)
          resolve([...receipts])
        }
        const timer = setTimeout(
          () => reject(new Error(`hung: ${receipts.length} of ${count} came within ${limitMs} ms`)),
          limitMs,
        )
        waiting.add(look)
        look()
      }),
    stop: () => server.stop(true),
  }
}
