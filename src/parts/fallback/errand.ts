/** What is sent to the fallback for a call: its client's own bytes, but for the model's name where it has another one there. */
import { concat } from '../../domain/bytes.ts'
import type { Call } from '../../domain/wire/call.ts'
import { fieldsOf, scanInTurns } from '../../domain/wire/go-json.ts'
import { type HeaderPairs, headerOf } from '../../domain/wire/headers.ts'
import { foldKey } from '../../domain/wire/keys.ts'
import type { Caller } from '../../engine/caller.ts'
import type { Errand } from '../../engine/elsewhere.ts'
import { turn } from '../../engine/turn.ts'
import { type ModelMap, substituteFor } from './models.ts'

// Between its client and this foreman: another foreman behind it has nothing to do with them, nor has anybody with the client's cookies.
const ours: ReadonlySet<string> = new Set(['cookie', 'x-foreman-fallback', 'x-foreman-heartbeat', 'x-foreman-patience'])

type Sent = Pick<Caller, 'call' | 'headers' | 'body' | 'bodyAsSent' | 'patience'>

/** The name by which the fallback is asked; null = nothing stands in for this model. */
export const nameFor = (map: ModelMap, { canonicalModel, model }: Call): string | null => {
  const substitute = substituteFor(map, canonicalModel)
  if (substitute.kind === 'none') return null
  return substitute.kind === 'same' ? model : substitute.name
}

/** A form or compressed bytes are passed as they are or not at all. */
const canRename = ({ call, headers }: Sent): boolean =>
  call.route.path !== '/v1/audio/transcriptions' && headerOf(headers, 'content-encoding') === ''

/** Whether something stands in for its model, and by a name that it can be given. */
export const isNameable = (map: ModelMap, sent: Sent): boolean => {
  const name = nameFor(map, sent.call)
  return name !== null && (name === sent.call.model || canRename(sent))
}

/** Whether the fallback can be sent this in the target's place. */
export const isSendable = (map: ModelMap, sent: Sent): boolean => !sent.call.unloads && isNameable(map, sent)

const renamed = async (body: Uint8Array, name: string): Promise<Uint8Array> => {
  const scan = await scanInTurns(body, (key) => foldKey(key) === 'model', turn)
  const value = new TextEncoder().encode(JSON.stringify(name))
  const pieces: Uint8Array[] = []
  let at = 0
  // All of them: which one counts is for the reader to say.
  for (const { start, end } of fieldsOf(scan, 'model')) {
    pieces.push(body.subarray(at, start), value)
    at = end
  }
  return concat([...pieces, body.subarray(at)])
}

/** The request for the fallback. */
export const errandFor = async (map: ModelMap, sent: Sent): Promise<Errand> => {
  const name = nameFor(map, sent.call) ?? sent.call.model
  const body = sent.bodyAsSent ?? sent.body
  const kept: HeaderPairs = sent.headers.filter(([key]) => !ours.has(key.toLowerCase()))
  // A foreman there must not wait for its own target longer than this one's caller does.
  const leftMs = sent.patience?.leftMs()
  const headers: HeaderPairs = leftMs === undefined ? kept : [...kept, ['X-Foreman-Patience', `${Math.ceil(leftMs)}ms`]]
  return { headers, body: name === sent.call.model ? body : await renamed(body, name) }
}
