/** The one way to the target: every request goes through `send`, and network trouble comes back as a value, never as a throw. */
import type { Clock } from '../domain/clock.ts'
import { type Connection, dial } from './connection.ts'
import { Exchange } from './exchange.ts'
import { createPool } from './pool.ts'
import { requestHead, standingLines } from './request-head.ts'
import { parseTargetUrl } from './url.ts'
import type { Reply, SendOptions, TargetClient, TargetRequest } from './wire.ts'

export type { BodyRead, Reply, TargetClient, TargetRequest } from './wire.ts'

/**
 * What the client needs. The token is sent as a bearer; `ca` is a PEM certificate to trust besides the system's. With an `address`
 * every connection goes there and the URL's name is never resolved; it still is the Host and what the certificate must hold.
 */
export interface TargetClientDeps {
  url: string
  address?: string | undefined
  token?: string | undefined
  ca?: string | undefined
  clock: Clock
}

/** Opens nothing yet. An unusable URL is a defect of the caller, who has `parseTargetUrl` to check it, and throws. */
export const createTargetClient = ({ url, address, token, ca, clock }: TargetClientDeps): TargetClient => {
  const parsed = parseTargetUrl(url)
  if (parsed.kind === 'invalid') throw new Error(`the target URL cannot be used: ${parsed.message}`)
  const { endpoint } = parsed
  const standing = standingLines(endpoint, token)
  const pool = createPool({ clock })
  const held = new Set<Connection>()
  let closed = false

  const gone = (connection: Connection): void => {
    held.delete(connection)
  }

  const exchange = (request: TargetRequest, options: SendOptions, head: string): Promise<Reply> =>
    new Promise((settled) => {
      const exchange = new Exchange({ request, options, head, clock, release: pool.put, settled })
      let connection = options.reuse ? pool.take() : null
      if (connection === null) {
        connection = dial({ endpoint, address, ca, user: exchange, gone })
        held.add(connection)
      }
      exchange.begin(connection)
    })

  const send = (request: TargetRequest, options: SendOptions): Promise<Reply> => {
    if (closed || options.signal?.aborted === true) return Promise.resolve({ kind: 'aborted' })
    if (request.body instanceof ReadableStream && request.body.locked)
      throw new Error('the body stream is already being read')
    const head = requestHead(request, endpoint.prefix, standing, !options.reuse)
    if (head.kind === 'head') return exchange(request, options, head.text)
    return Promise.resolve({ kind: 'unreached', code: 'unsendable', message: head.message })
  }

  const close = (): void => {
    closed = true
    for (const connection of held) connection.user?.abort()
    pool.close()
  }

  return { origin: endpoint.origin, send, idleSockets: pool.size, openSockets: () => held.size, close }
}
