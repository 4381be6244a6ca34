/** The caller of an async job: nobody waits, so it collects the answer and keeps it as the artifact `completion`. */

import { concat } from '../domain/bytes.ts'
import { Stop } from '../domain/stop-signal.ts'
import { assembleNative } from '../domain/wire/assemble.ts'
import { readCallInTurns } from '../domain/wire/call.ts'
import { matchRoute } from '../domain/wire/routes.ts'
import type { Caller, CallerArtifact } from './caller.ts'
import { turn } from './turn.ts'

const JSON_TYPE = 'application/json'
// Two hundred times the longest answer that a model with 128k of context writes.
const ANSWER_BYTES_MAX = 67_108_864
const headers = [['Content-Type', JSON_TYPE]] as const

export interface CollectorOptions {
  readonly endpoint: string
  readonly body: Uint8Array
  readonly arrivedAtMs: number
  /** Whether something else than the target may do it. */
  readonly fallback: 'auto' | 'never'
  /** Hears every chunk as it comes. */
  readonly onChunk: (bytes: Uint8Array) => void
}

/** A collector for a stored request, or undefined when the request is not one that can run. */
export const createCollector = async (options: CollectorOptions): Promise<Caller | undefined> => {
  const { endpoint, body, arrivedAtMs, fallback, onChunk } = options
  const matched = matchRoute('POST', endpoint)
  const read = matched.kind === 'route' ? await readCallInTurns(matched.route, body, JSON_TYPE, turn) : null
  if (read?.kind !== 'call') return undefined
  // Only a cancel ends it, and that comes through the worker.
  const left = new Stop()
  let pieces: Uint8Array[] = []
  return {
    call: read.call,
    path: endpoint,
    headers,
    body,
    left,
    answerBytesMax: ANSWER_BYTES_MAX,
    arrivedAtMs,
    fallback,
    // Nobody has seen a byte: another attempt starts afresh.
    committed: false,
    patience: null,
    onFinished: () => undefined,
    working() {
      pieces = []
    },
    begin: () => undefined,
    write(bytes) {
      pieces.push(bytes)
      onChunk(bytes)
    },
    end: () => undefined,
    answer({ body: whole }) {
      pieces.push(whole)
      onChunk(whole)
    },
    fail: () => undefined,
    artifacts(): readonly CallerArtifact[] | null {
      const whole = assembleNative(new TextDecoder().decode(concat(pieces)).split('\n'))
      if (whole === null) return null
      return [{ name: 'completion', contentType: JSON_TYPE, body: new TextEncoder().encode(JSON.stringify(whole)) }]
    },
  }
}
