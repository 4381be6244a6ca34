/** One client connection of the faulty wire and its way upstream; it must never reorder or change a byte it lets pass. */
import type { Socket } from 'bun'
import type { Random } from '../../src/domain/clock.ts'
import type { WireFault, WirePhase } from './faulty-wire.ts'
import { createWirePipe, type WirePipe } from './wire-pipe.ts'

/** What the listener tells its link. */
export interface WireLink {
  accepted(): void
  fromClient(bytes: Buffer): void
  clientDrained(): void
  clientClosed(error: Error | undefined): void
  silence(): void
  destroy(): void
}

export interface WireLinkDeps {
  client: Pick<Socket<unknown>, 'write' | 'end' | 'terminate' | 'pause' | 'resume' | 'setNoDelay'>
  upstreamPort: number
  random: Random
  fault(): WireFault
  struck(): void
  left(): void
  gone(): void
}

const HEAD_END = '\r\n\r\n'

/** Connects upstream only when there is something to say. */
export const createWireLink = ({ client, upstreamPort, random, fault, struck, left, gone }: WireLinkDeps): WireLink => {
  let upstream: Socket | null = null
  let current = fault()
  let state: 'idle' | 'asking' | 'answering' | 'silent' | 'ended' = 'idle'
  let answered = Buffer.alloc(0)
  const toClient: WirePipe = createWirePipe({
    to: client,
    from: { pause: () => upstream?.pause(), resume: () => upstream?.resume() },
    shape: () => current,
    random,
  })
  let toUpstream: WirePipe | null = null
  client.setNoDelay(true)

  const dial = (): WirePipe => {
    const pending: Uint8Array[] = []
    let live: WirePipe | null = null
    const pipe: WirePipe = {
      write: (bytes) => (live === null ? void pending.push(bytes) : live.write(bytes)),
      drained: () => live?.drained(),
      end: () => live?.end(),
      stop: () => live?.stop(),
    }
    Bun.connect({
      hostname: '127.0.0.1',
      port: upstreamPort,
      socket: {
        open: (socket) => {
          upstream = socket
          if (state === 'ended') {
            socket.terminate()
            return
          }
          socket.setNoDelay(true)
          live = createWirePipe({ to: socket, from: client, shape: () => current, random })
          for (const bytes of pending) live.write(bytes)
        },
        data: (_socket, bytes) => fromUpstream(bytes),
        drain: () => live?.drained(),
        close: (_socket, error) => upstreamClosed(error),
        connectError: () => end('reset'),
      },
    }).catch(toldByConnectError)
    return pipe
  }

  const end = (how: 'reset' | 'close'): void => {
    if (state === 'ended' || state === 'silent') return
    state = 'ended'
    if (how === 'reset') client.terminate()
    else toClient.end()
    upstream?.terminate()
  }

  const silence = (): void => {
    if (state === 'ended') return
    state = 'silent'
    toClient.stop()
    toUpstream?.stop()
  }

  const strike = (phase: WirePhase): void => {
    struck()
    switch (current.kind) {
      case 'half-open':
      case 'blackhole':
        silence()
        return
      case 'reset':
        end('reset')
        return
      case 'garbage':
        toClient.write(
          Buffer.from(phase === 'body' ? 'zz\r\n\x00\xff\r\n' : '\x16\x03\x01 this is not HTTP\r\n\r\n', 'latin1'),
        )
        end('close')
        return
      default:
        end('close')
    }
  }

  const strikesAt = (phase: WirePhase): boolean =>
    (current.kind === 'blackhole' && phase === 'connect') || ('at' in current && current.at === phase)

  /** How many bytes of the answer may pass before the fault strikes; null = all of it. */
  const allowance = (): number | null => {
    if (current.kind === 'truncate') return current.afterBytes
    if (!('at' in current) || current.at !== 'body') return null
    const head = answered.indexOf(HEAD_END)
    return head < 0 ? Number.POSITIVE_INFINITY : head + HEAD_END.length + (current.bodyBytes ?? 1)
  }

  const fromUpstream = (bytes: Buffer): void => {
    if (state === 'silent' || state === 'ended') return
    if (state !== 'answering') {
      state = 'answering'
      answered = Buffer.alloc(0)
    }
    if (strikesAt('headers')) {
      strike('headers')
      return
    }
    const passed = answered.length
    if (current.kind === 'truncate' || 'at' in current) answered = Buffer.concat([answered, bytes])
    const allowed = allowance() ?? Number.POSITIVE_INFINITY
    if (allowed >= passed + bytes.length) {
      toClient.write(bytes)
      return
    }
    if (allowed > passed) toClient.write(bytes.subarray(0, allowed - passed))
    strike('body')
  }

  const upstreamClosed = (error: Error | undefined): void => {
    end(error === undefined ? 'close' : 'reset')
  }

  return {
    accepted: () => {
      if (strikesAt('connect')) strike('connect')
    },
    fromClient: (bytes) => {
      if (state === 'silent' || state === 'ended') return
      if (state !== 'asking') {
        current = fault()
        state = 'asking'
        if (strikesAt('connect')) {
          strike('connect')
          return
        }
      }
      toUpstream ??= dial()
      toUpstream.write(bytes)
    },
    clientDrained: () => toClient.drained(),
    clientClosed: (error) => {
      gone()
      toClient.stop()
      if (state === 'ended') return
      left()
      // A sleeping target never hears that its client left.
      if (state === 'silent') return
      state = 'ended'
      toUpstream?.stop()
      if (error === undefined) upstream?.end()
      else upstream?.terminate()
    },
    silence,
    destroy: () => {
      state = 'ended'
      toClient.stop()
      toUpstream?.stop()
      client.terminate()
      upstream?.terminate()
    },
  }
}

const toldByConnectError = (): void => undefined
