/** One TCP or TLS connection to the target, from the first SYN to the last event; it must never know any HTTP. */
import { isIP } from 'node:net'
import type { Socket, SocketHandler } from 'bun'
import type { Endpoint } from './url.ts'

/** Why a connection is over. `system` is the system's own code where there is one. */
export interface Loss {
  system: string
  message: string
}

/** Whoever uses the connection at the moment. Each method is called from the socket's own callbacks. */
export interface ConnectionUser {
  /** Ready to be written to: TCP is up, and TLS with a certificate that holds. */
  opened(): void
  received(bytes: Buffer): void
  /** There is room again after a write that took less than it was given. */
  drained(): void
  /** The target closed its side in good order. */
  finished(): void
  /** The connection is gone, or never came up; called once and last. */
  lost(loss: Loss): void
  /** This side gives up everything at once. */
  abort(): void
}

/** What it takes to open one. `gone` is called exactly once, when the descriptor is no longer held. */
export interface DialDeps {
  endpoint: Endpoint
  /** Dialled instead of the endpoint's name, which then only names the server: nothing is resolved. */
  address?: string | undefined
  ca?: string | undefined
  user: ConnectionUser
  gone(connection: Connection): void
}

// Bun asks every second from then on and gives up after ten: half-open is then for the liveness probes to notice, at 29 s.
const KEEP_ALIVE_MS = 20_000

/** A connection; `terminate` is the only way to end it from this side, and is followed by no further call to the user. */
export class Connection {
  user: ConnectionUser | null
  idleSinceMs = 0
  /** True once it has carried a request, so that its next failure may be that of a stale socket. */
  used = false
  readonly #gone: (connection: Connection) => void
  readonly #tls: boolean
  #socket: Socket<Connection> | null = null
  #ready = false
  #paused = false
  #over = false
  #loss: Loss | null = null

  constructor({ endpoint, user, gone }: DialDeps) {
    this.user = user
    this.#tls = endpoint.tls
    this.#gone = gone
  }

  /** Whether TCP, and TLS where wanted, came up. */
  get ready(): boolean {
    return this.#ready
  }

  get alive(): boolean {
    return this.#socket !== null && this.#socket.readyState > 0
  }

  /** Bytes the kernel took, from `offset` on; 0 when it is full or the connection is gone. */
  write(bytes: Uint8Array, offset: number): number {
    return Math.max(0, this.#socket?.write(bytes, offset, bytes.length - offset) ?? 0)
  }

  /** Takes no more from the kernel. What a reset cut off may still be delivered. */
  pause(): void {
    this.#paused = true
    this.#socket?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket?.resume()
  }

  /** Ends it at once with a reset. Ollama takes only a closed connection for a client that left (a half-close leaks it). */
  terminate(): void {
    this.user = null
    this.#over = true
    this.#socket?.terminate()
  }

  handleOpen(socket: Socket<Connection>): void {
    this.#socket = socket
    // A target that was switched off and on again answers new connections and knows nothing of this one: only asking tells.
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    // Bun cannot cancel a connect under way: one that was given up is closed the moment it opens.
    if (this.#over) socket.terminate()
    else if (!this.#tls) this.#opened()
  }

  handleHandshake(success: boolean, error: Error | null): void {
    if (success) this.#opened()
    else this.#loss = lossOf(error, 'EPROTO')
  }

  handleError(error: Error): void {
    this.#loss ??= lossOf(error, 'EINTERNAL')
    this.#socket?.terminate()
  }

  handleClose(error: Error | undefined): void {
    const user = this.user
    this.user = null
    this.#over = true
    this.#gone(this)
    user?.lost(
      this.#loss ??
        (error === undefined ? { system: 'EOF', message: 'the connection was closed' } : lossOf(error, 'ECONNRESET')),
    )
  }

  #opened(): void {
    if (this.#over) return
    this.#ready = true
    this.user?.opened()
  }
}

const lossOf = (error: Error | null, otherwise: string): Loss => {
  const system = error !== null && 'code' in error && typeof error.code === 'string' ? error.code : otherwise
  return { system, message: error === null || error.message === '' ? system : error.message }
}

const handlers: SocketHandler<Connection> = {
  open: (socket) => socket.data.handleOpen(socket),
  // With this handler `open` comes at TCP's, so that a hello nobody answers can be given up by closing the socket.
  handshake: (socket, success, error) => socket.data.handleHandshake(success, error),
  data: (socket, bytes) => socket.data.user?.received(bytes),
  drain: (socket) => socket.data.user?.drained(),
  end: (socket) => socket.data.user?.finished(),
  close: (socket, error) => socket.data.handleClose(error),
  error: (socket, error) => socket.data.handleError(error),
  connectError: (socket, error) => socket.data.handleClose(error),
}

/** Starts to connect. Failure comes through `lost`, and never before this function has returned. */
export const dial = (deps: DialDeps): Connection => {
  const { endpoint, address, ca } = deps
  const connection = new Connection(deps)
  const tls = endpoint.tls ? tlsOptions(endpoint.hostname, ca) : false
  // `connectError` has told what there is to tell; the promise says the same again.
  const hostname = address ?? endpoint.hostname
  Bun.connect({ hostname, port: endpoint.port, tls, data: connection, socket: handlers }).catch(toldAlready)
  return connection
}

// An address is checked against the certificate without SNI, which only carries names (RFC 6066 section 3).
const tlsOptions = (hostname: string, ca: string | undefined) => ({
  rejectUnauthorized: true,
  ...(isIP(hostname) === 0 ? { serverName: hostname } : {}),
  ...(ca === undefined ? {} : { ca }),
})

const toldAlready = (): void => undefined
