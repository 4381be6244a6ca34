/** Waits until a server that was begun answers, and is the one that was begun; a port that is open says nothing. */
import type { Clock } from '../../domain/clock.ts'
import { pause } from '../../loop/pause.ts'
import type { Begun, Server } from './server.ts'

export interface ReadyDeps {
  readonly server: Pick<Server, 'hasEnded' | 'isAnswering' | 'lastWords'>
  /** Whether an Ollama answers `GET /`. */
  readonly answers: (signal: AbortSignal) => Promise<boolean>
  readonly clock: Clock
}

// GPU discovery comes between the port and the first answer: 30 s were seen.
const READY_MS = 60_000
const LOOK_MS = 100

/** Null as soon as it is ready; else why it is not. */
export const whenReady = async (
  { server, clock, answers }: ReadyDeps,
  begun: Begun,
  signal: AbortSignal,
): Promise<string | null> => {
  if (begun.kind !== 'begun') return begun.words
  // What somebody else runs may sleep, and is not to be waited for.
  if (begun.how === 'taken up' && server.hasEnded() === null) return null
  const said = () => {
    const words = server.lastWords()
    return words === '' ? '' : `: ${words}`
  }
  const endMs = clock.monotonicMs() + READY_MS
  while (!signal.aborted && clock.monotonicMs() < endMs) {
    if (server.hasEnded() === true) return `it ended before it answered${said()}`
    if ((await answers(signal)) && server.isAnswering()) return null
    await pause(clock, LOOK_MS, signal)
  }
  return `it did not answer within ${READY_MS / 1_000} s${said()}`
}
