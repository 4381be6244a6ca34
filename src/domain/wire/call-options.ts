/** Puts an option that decides what is loaded into a call's own, or takes its context out of them, as Ollama will read it; every other byte stays. */
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

type OwnOption = 'num_ctx' | 'num_gpu'

/** What is loaded for a call with this option; null = the target's own. */
const reloading = (call: Call, name: OwnOption, value: number | null): Call => {
  const reload = reloadOf({ ...call.reload.options, [name]: value }, call.reload.shift)
  return { ...call, reload, residencyKey: residencyKey(call.canonicalModel, reload) }
}

/** Behind the members of the last options, or as options of its own at the end: the last one said counts. */
const said = ({ call, body }: Shaped, name: OwnOption, json: string): Shaped => {
  const last = call.options.at(-1)
  const { insertAt } = call
  if (insertAt === null) return { call, body }
  if (last?.type !== 'object' || body.length - last.start > REST_MAX_BYTES) {
    const longer = withMember(body, call, 'options', `{"${name}":${json}}`)
    const offset = insertAt.offset + longer.length - body.length
    return { call: { ...call, insertAt: { offset, first: false } }, body: longer }
  }
  const scan = scanObject(body.subarray(last.start, last.end), () => false)
  const comma = scan.kind === 'object' && scan.isEmpty ? '' : ','
  const added = new TextEncoder().encode(`${comma}"${name}":${json}`)
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

const withOption = (shaped: Shaped, name: OwnOption, value: number): Shaped => {
  if (shaped.call.insertAt === null || shaped.call.reload.options[name] === value) return shaped
  const { call, body } = said(shaped, name, String(value))
  return { call: reloading(call, name, value), body }
}

/** Call and body with this context, whatever they had. */
export const withNumCtx = (shaped: Shaped, numCtx: number): Shaped => withOption(shaped, 'num_ctx', numCtx)

/** Call and body with so many layers on the graphics card; 0 is the processor alone. */
export const withNumGpu = (shaped: Shaped, numGpu: number): Shaped => withOption(shaped, 'num_gpu', numGpu)

/** Call and body without a context. */
export const withoutNumCtx = (shaped: Shaped): Shaped => {
  const { call, body } = shaped
  const { insertAt, options } = call
  if (insertAt === null || mergedOptions(body, options)['num_ctx'] === undefined) return shaped
  const first = options.find(({ type }) => type === 'object')
  if (first !== undefined && body.length - first.start > REST_MAX_BYTES) {
    const { call: longer, body: bytes } = said(shaped, 'num_ctx', 'null')
    return { call: reloading(longer, 'num_ctx', null), body: bytes }
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
  return { call: reloading(without, 'num_ctx', null), body: bytes }
}
