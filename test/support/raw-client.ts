/** A client that writes bytes and shows bytes, so that a test sees exactly what was on the wire; it must never repair anything. */
import { connect } from 'node:net'

/** How the other side left: `fin`, `rst`, or not at all yet. */
export type Closing = 'open' | 'fin' | 'rst'

export interface RawClient {
  send(bytes: string | Uint8Array): void
  /** Everything received so far. */
  received(): string
  /** Resolves with everything received as soon as `predicate` holds; rejects when the peer closes first. */
  until(predicate: (received: string) => boolean): Promise<string>
  /** Resolves when the other side has closed, with how. */
  closed(): Promise<Exclude<Closing, 'open'>>
  closing(): Closing
  /** Half-close: FIN, still reading. */
  finish(): void
  destroy(): void
}

/** Connects to 127.0.0.1. */
export const rawClient = (port: number): Promise<RawClient> =>
  new Promise((resolve, reject) => {
    let text = ''
    let closing: Closing = 'open'
    let connected = false
    let watchers: (() => void)[] = []
    const changed = () => {
      for (const watch of watchers) watch()
    }
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      changed()
    })
    socket.on('end', () => {
      if (closing === 'open') closing = 'fin'
      changed()
    })
    socket.on('error', (error) => {
      if (!connected) reject(error)
      closing = 'rst'
      changed()
    })
    const when = <T>(ask: () => T | undefined): Promise<T> =>
      new Promise((settle, fail) => {
        const watch = () => {
          try {
            const answer = ask()
            if (answer === undefined) return
            watchers = watchers.filter((other) => other !== watch)
            settle(answer)
          } catch (error) {
            watchers = watchers.filter((other) => other !== watch)
            fail(error)
          }
        }
        watchers = [...watchers, watch]
        watch()
      })
    socket.on('connect', () => {
      connected = true
      resolve({
        send: (bytes) => void socket.write(bytes),
        received: () => text,
        until: (predicate) =>
          when(() => {
            if (predicate(text)) return text
            if (closing !== 'open') throw new Error(`closed (${closing}) after ${JSON.stringify(text)}`)
            return undefined
          }),
        closed: () => when(() => (closing === 'open' ? undefined : closing)),
        closing: () => closing,
        finish: () => void socket.end(),
        destroy: () => void socket.destroy(),
      })
    })
  })

/** A POST with a JSON body, as curl -d would send it. */
export const post = (path: string, body: unknown, headers: readonly string[] = []): string => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const length = Buffer.byteLength(text)
  return [`POST ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, `Content-Length: ${length}`, '', text].join('\r\n')
}

/** A GET. */
export const get = (path: string, headers: readonly string[] = []): string =>
  [`GET ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, '', ''].join('\r\n')
