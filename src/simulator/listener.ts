/** The TCP side of the simulator: connections, half-open silence, refusing; it must never interpret a request. */
import type { Socket, TCPSocketListener } from 'bun'
import { createExchange, type Exchange, type Line, type OpenExchange } from './exchange.ts'
import { createOutlet } from './outlet.ts'
import type { Pulse } from './pulse.ts'
import { createRequestParser } from './request-parser.ts'

export interface ListenerDeps {
  readonly hostname: string
  readonly port: number
  readonly pulse: Pulse
  readonly isHashed: (method: string, path: string) => boolean
  /** Called once per request; it answers on the exchange, now or later. */
  readonly onRequest: (exchange: Exchange) => void
  /** The client left before its answer was complete. */
  readonly onAbort: (exchange: Exchange) => void
  readonly onConnections: (change: 1 | -1) => void
}

export interface Listener {
  readonly port: number
  /** Closes the listening socket and idle connections; connections with work on them go on. */
  refuse(): void
  /** Listens again on the same port. */
  accept(): void
  /** Ends every connection in the middle of what it carries; nobody counts as having left. */
  drop(): void
  stop(): void
}

interface Connection {
  receive(bytes: Uint8Array): void
  /** FIN or RST from the client. */
  left(): void
  drain(): void
  /** FIN from here, whatever is under way. */
  drop(): void
  readonly idle: boolean
}

type Wire = Socket<Connection | null>

/** One TCP connection: requests one after another, answers through exchanges. */
const createConnection = (
  socket: Wire,
  deps: ListenerDeps,
  { dateHeader, isRefusing }: { dateHeader: () => string; isRefusing: () => boolean },
): Connection => {
  const { pulse } = deps
  const parser = createRequestParser(deps.isHashed)
  const outlet = createOutlet(socket, () => pulse.whenAwake(() => socket.end()))
  let current: OpenExchange | null = null
  let ended = false
  let serving = false

  const line: Line = {
    write: (text) => pulse.whenAwake(() => outlet.write(text)),
    drained: outlet.drained,
    reset: () => pulse.whenAwake(() => socket.terminate()),
    hangUp: outlet.closeSoon,
    finished: (keepAlive) => {
      current = null
      if (!keepAlive || ended || isRefusing()) outlet.closeSoon()
      // A fast answer comes back here from inside serve(); the loop there goes on, without recursion.
      else if (!serving) serve()
    },
    dateHeader,
  }

  const serve = () => {
    serving = true
    while (current === null && !outlet.isClosing) {
      const step = parser.next()
      if (step.kind === 'more') break
      if (step.kind === 'expects') line.write('HTTP/1.1 100 Continue\r\n\r\n')
      else if (step.kind === 'bad') {
        line.write(
          `HTTP/1.1 ${step.status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${step.text}`,
        )
        outlet.closeSoon()
      } else {
        current = createExchange(step.request, line)
        deps.onRequest(current)
      }
    }
    serving = false
  }

  return {
    receive(bytes) {
      parser.push(bytes)
      if (current === null) serve()
    },
    left() {
      if (ended) return
      ended = true
      outlet.abandon()
      const open = current
      if (open && !open.done && !open.gone) {
        deps.onAbort(open)
        open.leave()
      }
      // Ollama leaves some half-closed connections open for ever; closing them keeps file descriptors bounded.
      socket.end()
    },
    drain: outlet.pour,
    drop() {
      ended = true
      outlet.abandon()
      current?.leave()
      socket.end()
    },
    get idle() {
      return current === null && !parser.midway
    },
  }
}

/** Opens the listener; throws when the port is taken. */
export const createListener = (deps: ListenerDeps): Listener => {
  const { pulse } = deps
  const connections = new Set<Wire>()
  let second = 0
  let date = ''
  const dateHeader = () => {
    const now = Math.floor(pulse.now() / 1000)
    if (now !== second) {
      second = now
      date = `Date: ${new Date(now * 1000).toUTCString()}\r\n`
    }
    return date
  }

  const listen = (port: number): TCPSocketListener<Connection | null> =>
    Bun.listen<Connection | null>({
      hostname: deps.hostname,
      port,
      allowHalfOpen: true,
      socket: {
        open(socket) {
          socket.data = createConnection(socket, deps, { dateHeader, isRefusing: () => server === null })
          connections.add(socket)
          deps.onConnections(1)
        },
        data: (socket, bytes) => pulse.whenAwake(() => socket.data?.receive(bytes)),
        drain: (socket) => pulse.whenAwake(() => socket.data?.drain()),
        end: (socket) => pulse.whenAwake(() => socket.data?.left()),
        error: (socket) => pulse.whenAwake(() => socket.data?.left()),
        close(socket) {
          if (!connections.delete(socket)) return
          deps.onConnections(-1)
          pulse.whenAwake(() => socket.data?.left())
        },
      },
    })

  let server: TCPSocketListener<Connection | null> | null = listen(deps.port)
  const { port } = server

  const refuse = () => {
    server?.stop()
    server = null
    for (const socket of connections) if (socket.data?.idle) socket.end()
  }

  return {
    port,
    refuse,
    accept() {
      server ??= listen(port)
    },
    drop() {
      for (const socket of [...connections]) socket.data?.drop()
    },
    stop() {
      server?.stop(true)
      server = null
      for (const socket of connections) socket.terminate()
    },
  }
}
