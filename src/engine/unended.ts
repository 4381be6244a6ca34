/** Answers whose end is never sent: they are over when they are complete and nothing more comes. */
import { concat } from '../domain/bytes.ts'
import type { Clock } from '../domain/clock.ts'
import type { BodyRead, ReplyBody } from './ports.ts'

// Ollama ends an answer with its last byte; whoever has not done so by then will not.
export const END_GRACE_MS = 1_000

/** What comes within the grace, or null; the read itself goes on. */
export const readWithin = (reading: Promise<BodyRead>, clock: Clock): Promise<BodyRead | null> =>
  new Promise((resolve) => {
    const cancel = clock.after(END_GRACE_MS, () => resolve(null))
    void reading.then((read) => {
      cancel()
      resolve(read)
    })
  })

/** The pieces are one whole JSON document. */
export const isJson = (pieces: readonly Uint8Array[]): boolean => {
  try {
    JSON.parse(new TextDecoder().decode(concat(pieces)))
    return true
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}

/** The body, ended when it pauses and `isComplete` says that nothing is missing. */
export const endedWhenComplete = (
  body: ReplyBody,
  clock: Clock,
  isComplete: (pieces: readonly Uint8Array[]) => boolean,
): ReplyBody => {
  const pieces: Uint8Array[] = []
  const next = async (): Promise<BodyRead> => {
    const reading = body.read()
    if (pieces.length === 0) return reading
    const read = await readWithin(reading, clock)
    if (read !== null) return read
    if (!isComplete(pieces)) return reading
    body.cancel()
    return { kind: 'end' }
  }
  return {
    complete: body.complete,
    cancel: () => body.cancel(),
    async read() {
      const read = await next()
      if (read.kind === 'chunk') pieces.push(read.bytes)
      return read
    },
  }
}
