/** Puts a context into a call's own options or takes it out of them, as Ollama will read it; every other byte stays. */
import { concat, withInserted } from '../bytes.ts'
import { type Call, mergedOptions, type Place } from './call.ts'
import { withMember } from './call-body.ts'
import { scanObject, withoutMembers } from './go-json.ts'
import { reloadOf, residencyKey } from './residency.ts'

interface Shaped {
  readonly call: Call
  readonly body: Uint8Array
}

// Options that stand so far before the end of a long body are said again behind it, where Ollama merges them: a copy of 100 MiB takes 60 ms.
const REST_MAX_BYTES = 1_048_576

/** What is loaded for a call whose context is this one; null = the target's own. */
const reloading = (call: Call, numCtx: number | null): Call => {
  const reload = reloadOf({ ...call.reload.options, num_ctx: numCtx }, call.reload.shift)
  return { ...call, reload, residencyKey: residencyKey(call.canonicalModel, reload) }
}

/** Behind the members of the last options, or as options of its own at the end: the last one said counts. */
const said = ({ call, body }: Shaped, json: string): Shaped => {
  const last = call.options.at(-1)
  const { insertAt } = call
  if (insertAt === null) return { call, body }
  if (last?.type !== 'object' || body.length - last.start > REST_MAX_BYTES) {
    const longer = withMember(body, call, 'options', `{"num_ctx":${json}}`)
    const offset = insertAt.offset + longer.length - body.length
    return { call: { ...call, insertAt: { offset, first: false } }, body: longer }
  }
  const scan = scanObject(body.subarray(last.start, last.end), () => false)
  const comma = scan.kind === 'object' && scan.isEmpty ? '' : ','
  const added = new TextEncoder().encode(`${comma}"num_ctx":${json}`)
  const longer = withInserted(body, last.end - 1, added)
  const options = [...call.options.slice(0, -1), { ...last, end: last.end + added.length }]
  const offset = insertAt.offset + added.length
  return { call: { ...call, options, insertAt: { ...insertAt, offset } }, body: longer }
}

/** One options object without its contexts; Go looks for the exact name in it. */
const cut = (body: Uint8Array, { start, end }: Place): Uint8Array => {
  const options = body.subarray(start, end)
  return withoutMembers(
    options,
    scanObject(options, (key) => key === 'num_ctx'),
    ({ key }) => key === 'num_ctx',
  ).body
}

/** Call and body with this context, whatever they had. */
export const withNumCtx = (shaped: Shaped, numCtx: number): Shaped => {
  if (shaped.call.insertAt === null || shaped.call.reload.options['num_ctx'] === numCtx) return shaped
  const { call, body } = said(shaped, String(numCtx))
  return { call: reloading(call, numCtx), body }
}

/** Call and body without a context. */
export const withoutNumCtx = (shaped: Shaped): Shaped => {
  const { call, body } = shaped
  const { insertAt, options } = call
  if (insertAt === null || mergedOptions(body, options)['num_ctx'] === undefined) return shaped
  const first = options.find(({ type }) => type === 'object')
  if (first !== undefined && body.length - first.start > REST_MAX_BYTES) {
    const { call: longer, body: bytes } = said(shaped, 'null')
    return { call: reloading(longer, null), body: bytes }
  }
  const pieces: Uint8Array[] = []
  const kept: Place[] = []
  let at = 0
  let shorter = 0
  for (const field of options) {
    const own = field.type === 'object' ? cut(body, field) : body.subarray(field.start, field.end)
    pieces.push(body.subarray(at, field.start), own)
    const start = field.start - shorter
    kept.push({ type: field.type, start, end: start + own.length })
    shorter += field.end - field.start - own.length
    at = field.end
  }
  const bytes = concat([...pieces, body.subarray(at)])
  const without = { ...call, options: kept, insertAt: { ...insertAt, offset: insertAt.offset - shorter } }
  return { call: reloading(without, null), body: bytes }
}
