/** What goes to the target for a call: its own body, to which members are only ever added, and the load idiom. */
import { withInserted } from '../bytes.ts'
import type { Call } from './call.ts'
import { isZeroKeepAlive } from './keep-alive.ts'

/** The body with `keep_alive` added, so that it also wins over an explicit null. */
export const withKeepAlive = (body: Uint8Array, call: Pick<Call, 'insertAt'>, json: string): Uint8Array =>
  withMember(body, call, 'keep_alive', json)

/** Call and body as a streamed one, whatever it asked for. */
export const streamed = (body: Uint8Array, call: Call): { readonly body: Uint8Array; readonly call: Call } => {
  if (call.insertAt === null) return { body, call }
  const longer = withMember(body, call, 'stream', 'true')
  const offset = call.insertAt.offset + longer.length - body.length
  return { body: longer, call: { ...call, stream: true, insertAt: { offset, first: false } } }
}

/** The body with a member appended as the last one, so that it wins over any other of that name. */
export const withMember = (body: Uint8Array, call: Pick<Call, 'insertAt'>, name: string, json: string): Uint8Array => {
  if (call.insertAt === null) return body
  const { offset, first } = call.insertAt
  const added = new TextEncoder().encode(`${first ? '' : ','}${JSON.stringify(name)}:${json}`)
  return withInserted(body, offset, added)
}

/** The body of the load idiom for this call: its own reload options and keep-alive, nothing else. */
export const loadBody = (call: Call, keepAliveJson: string | null): Uint8Array => {
  const { options, shift } = call.reload
  const parts = [`"model":${JSON.stringify(call.model)}`, '"stream":false']
  if (Object.keys(options).length > 0) parts.push(`"options":${JSON.stringify(options)}`)
  if (shift !== undefined) parts.push(`"shift":${JSON.stringify(shift)}`)
  const keepAlive: unknown = call.keepAlive ?? JSON.parse(keepAliveJson ?? 'null')
  // keep_alive 0 on an empty prompt would unload; the job itself carries it.
  if (keepAlive !== null && !isZeroKeepAlive(keepAlive)) parts.push(`"keep_alive":${JSON.stringify(keepAlive)}`)
  return new TextEncoder().encode(`{${parts.join(',')}}`)
}
