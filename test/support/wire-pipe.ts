/** One direction of a faulty wire: bytes in, the same bytes out, late or cut up if the fault says so. */
import type { Socket } from 'bun'
import type { Random } from '../../src/domain/clock.ts'
import type { WireFault } from './faulty-wire.ts'

export interface WirePipe {
  write(bytes: Uint8Array): void
  /** The destination has room again. */
  drained(): void
  /** Closes the destination (FIN) once everything has been written. */
  end(): void
  /** Drops what is waiting and passes nothing more. */
  stop(): void
}

export interface WirePipeDeps {
  to: Pick<Socket<unknown>, 'write' | 'end'>
  from: { pause(): void; resume(): void }
  shape(): WireFault
  random: Random
}

const WAITING_BYTES_MAX = 1_048_576

export const createWirePipe = ({ to, from, shape, random }: WirePipeDeps): WirePipe => {
  let waiting: { bytes: Uint8Array; dueMs: number }[] = []
  let waitingBytes = 0
  let paused = false
  let running = false
  let ending = false
  let stopped = false
  let roomy: (() => void) | null = null

  const room = (): Promise<void> =>
    new Promise((resolve) => {
      roomy = resolve
    })

  const put = async (bytes: Uint8Array): Promise<void> => {
    for (let offset = 0; offset < bytes.length && !stopped; ) {
      const taken = to.write(bytes, offset, bytes.length - offset)
      if (taken < 0) return
      offset += taken
      if (offset < bytes.length) await room()
    }
  }

  const run = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined && !stopped; next = waiting.shift()) {
      waitingBytes -= next.bytes.length
      const delayMs = next.dueMs - performance.now()
      if (delayMs > 0) await Bun.sleep(delayMs)
      const fault = shape()
      if (fault.kind === 'slice') {
        for (const piece of slices(next.bytes, fault.maxBytes, random)) {
          await put(piece)
          await new Promise((resolve) => setImmediate(resolve))
        }
      } else await put(next.bytes)
      if (paused && waitingBytes === 0) {
        paused = false
        from.resume()
      }
    }
    running = false
    if (ending && !stopped) to.end()
  }

  return {
    write: (bytes) => {
      if (stopped) return
      const fault = shape()
      waiting.push({ bytes, dueMs: performance.now() + (fault.kind === 'latency' ? fault.delayMs : 0) })
      waitingBytes += bytes.length
      if (waitingBytes > WAITING_BYTES_MAX && !paused) {
        paused = true
        from.pause()
      }
      if (running) return
      running = true
      run()
    },
    drained: () => {
      roomy?.()
      roomy = null
    },
    end: () => {
      ending = true
      if (!running && !stopped) to.end()
    },
    stop: () => {
      stopped = true
      waiting = []
      roomy?.()
      roomy = null
      if (paused) from.resume()
    },
  }
}

const slices = (bytes: Uint8Array, maxBytes: number, random: Random): Uint8Array[] => {
  const pieces: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + Math.floor(random() * maxBytes))
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}
