/**
 * A TCP proxy that breaks on purpose, for tests of whoever talks through it; it must never break in a way nobody asked for.
 *
 *   const wire = startFaultyWire({ upstreamPort: ollama.port, fault: { kind: 'reset', at: 'body' } })
 *   … talk to wire.url …
 *   await wire.struck.reached(1)      // signals, not sleeps: `accepted`, `struck`, `left` count what happened
 *   wire.set({ kind: 'none' })        // from the next request on, also on connections that are already open
 *   wire.silence()                    // every open connection goes half-open now: nothing moves, nothing closes
 *   wire.stop()
 *
 * Phases: `connect` = before a byte of the request goes upstream (at accept; on a kept-alive connection at its next
 * request, which is what a stale socket looks like). `headers` = upstream has the request and its answer is withheld.
 * `body` = the head and `bodyBytes` (default 1) bytes of the body have passed, the rest is withheld.
 *
 * none       passes everything, with back-pressure
 * refuse     nobody listens on the port (open connections stay)
 * blackhole  TCP connects, then nothing in either direction, for ever (phase `connect` of half-open)
 * half-open  from the phase on nothing moves and nothing closes: a laptop that fell asleep
 * reset      RST at the phase
 * close      FIN at the phase
 * truncate   FIN after `afterBytes` bytes of the answer, its head included
 * slice      both directions re-cut into pieces of 1..`maxBytes` bytes, one per turn of the event loop
 * latency    every piece, both directions, `delayMs` later
 * garbage    bytes that are no HTTP at the phase (in `body`: no chunk size), then FIN
 */
import type { Random } from '../../src/domain/clock.ts'
import { createCount, type WireCount } from './wire-count.ts'
import { createWireLink, type WireLink } from './wire-link.ts'

/** Where in an exchange a fault strikes. */
export type WirePhase = 'connect' | 'headers' | 'body'

/** What the wire does to the exchanges that begin from now on. */
export type WireFault =
  | { kind: 'none' }
  | { kind: 'refuse' }
  | { kind: 'blackhole' }
  | { kind: 'half-open' | 'reset' | 'close' | 'garbage'; at: WirePhase; bodyBytes?: number }
  | { kind: 'truncate'; afterBytes: number }
  | { kind: 'slice'; maxBytes: number }
  | { kind: 'latency'; delayMs: number }

/** A running wire. */
export interface FaultyWire {
  readonly port: number
  readonly url: string
  /** Connections taken from clients. */
  readonly accepted: WireCount
  /** Times a fault struck. */
  readonly struck: WireCount
  /** Connections that a client closed or reset (not those the wire ended itself). */
  readonly left: WireCount
  /** Client connections open now. */
  open(): number
  set(fault: WireFault): void
  silence(): void
  /** Every open connection is reset now, as when the target's process is killed. */
  cut(): void
  stop(): void
}

/** How a wire is started. `random` cuts the slices; print its seed in the test. */
export interface FaultyWireOptions {
  upstreamPort: number
  fault?: WireFault
  random?: Random
}

/** Listens on 127.0.0.1, a port of its own. */
export const startFaultyWire = ({
  upstreamPort,
  fault: first = { kind: 'none' },
  random = () => 0.5,
}: FaultyWireOptions): FaultyWire => {
  let fault = first
  const links = new Set<WireLink>()
  // A sleeping target's own sockets outlive their clients, so every link is kept for the end.
  const everyLink: WireLink[] = []
  const accepted = createCount()
  const struck = createCount()
  const left = createCount()

  const listen = (port: number) =>
    Bun.listen<WireLink | undefined>({
      hostname: '127.0.0.1',
      port,
      socket: {
        open: (client) => {
          const link = createWireLink({
            client,
            upstreamPort,
            random,
            fault: () => fault,
            struck: struck.add,
            left: left.add,
            gone: () => links.delete(link),
          })
          client.data = link
          links.add(link)
          everyLink.push(link)
          accepted.add()
          link.accepted()
        },
        data: (client, bytes) => client.data?.fromClient(bytes),
        drain: (client) => client.data?.clientDrained(),
        close: (client, error) => client.data?.clientClosed(error),
        error: (_client, error) => {
          throw error
        },
      },
    })

  /** Below the ports that outgoing connections are given: while this wire refuses, none of them can take its place. */
  const listenLow = (tries = 50): ReturnType<typeof listen> => {
    try {
      return listen(15_000 + Math.floor(Math.random() * 17_000))
    } catch (error) {
      if (tries === 0) throw error
      return listenLow(tries - 1)
    }
  }

  // The port is taken once, so that a wire that refuses for a while comes back where it was.
  let listener: ReturnType<typeof listen> | null = listenLow()
  const { port } = listener

  const set = (next: WireFault): void => {
    fault = next
    if (next.kind === 'refuse') {
      listener?.stop()
      listener = null
    } else listener ??= listen(port)
  }
  set(fault)

  return {
    port,
    url: `http://127.0.0.1:${port}`,
    accepted,
    struck,
    left,
    open: () => links.size,
    set,
    silence: () => {
      for (const link of links) link.silence()
    },
    cut: () => {
      for (const link of links) link.destroy()
    },
    stop: () => {
      listener?.stop(true)
      listener = null
      for (const link of everyLink) link.destroy()
    },
  }
}
