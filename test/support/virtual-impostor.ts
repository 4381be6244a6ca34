/** The simulator's impostors as a virtual target sees them: the same answers, on a test's own clock and without a socket. */
import type { Clock } from '../../src/domain/clock.ts'
import type { BodyRead, Reply, SendTarget } from '../../src/engine/ports.ts'
import { type Impostor, type ImpostorName, impostors } from '../../src/simulator/impostor.ts'

const encode = (text: string) => new TextEncoder().encode(text)

/** Pieces that come every `everyMs`; null is the end. Whoever gives up, or waits too long, hears of it. */
const pieces = (
  clock: Clock,
  next: () => string | null,
  everyMs: number,
  options: Parameters<SendTarget['send']>[1],
) => {
  const { signal, wholeTimeoutMs } = options
  const endsAtMs = wholeTimeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.monotonicMs() + wholeTimeoutMs
  let gone = false
  const read = (): Promise<BodyRead> =>
    new Promise((resolve) => {
      if (gone || signal?.aborted) return resolve({ kind: 'aborted' })
      const give = () => finish({ kind: 'aborted' })
      const finish = (value: BodyRead) => {
        cancel()
        signal?.removeEventListener('abort', give)
        resolve(value)
      }
      const tooLate: BodyRead = { kind: 'broken', code: 'timeout', message: 'no whole answer in time' }
      const cancel = clock.after(everyMs, () => {
        const piece = next()
        if (clock.monotonicMs() >= endsAtMs) finish(tooLate)
        else finish(piece === null ? { kind: 'end' } : { kind: 'chunk', bytes: encode(piece) })
      })
      signal?.addEventListener('abort', give)
    })
  const cancel = () => {
    gone = true
  }
  return { complete: null, read, cancel }
}

/** A `send` that is answered by an impostor. */
export const impersonated = (clock: Clock, name: ImpostorName): SendTarget['send'] => {
  const { status, contentType, encoding, body = '', manner = 'whole' }: Impostor = impostors[name]
  const headers: [string, string][] = []
  if (contentType !== undefined) headers.push(['Content-Type', contentType])
  if (encoding !== undefined) headers.push(['Content-Encoding', encoding])
  return async (_, options): Promise<Reply> => {
    if (options.signal?.aborted) return { kind: 'aborted' }
    if (manner === 'banner') return { kind: 'broken', code: 'malformed', message: 'bad status line', reused: false }
    if (manner === 'whole') {
      const whole = { complete: encode(body), read: async (): Promise<BodyRead> => ({ kind: 'end' }), cancel() {} }
      return { kind: 'answered', status, headers, body: whole }
    }
    let at = 0
    const dripped = () => body[at++] ?? null
    const poured = () => body.repeat(1_000)
    const source = manner === 'drip' ? pieces(clock, dripped, 1_000, options) : pieces(clock, poured, 10, options)
    return { kind: 'answered', status, headers, body: source }
  }
}
