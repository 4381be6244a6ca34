/** Reads the top level of a JSON body the way Ollama's Go decoder does, keeping only the members that are asked for; it must never change a byte. */
import { concat } from '../bytes.ts'
import { GoScan } from './go-scan.ts'
import { foldKey } from './keys.ts'
import type { Field, Scan, Wanted } from './scan.ts'

export type { JsonType } from './go-syntax.ts'
export type { Field, Scan, Wanted } from './scan.ts'

/** Scans the first JSON value of `body` in one go. The messages are Go's. */
export const scanObject = (body: Uint8Array, wanted: Wanted): Scan => {
  const scan = new GoScan(body, wanted)
  for (;;) {
    const result = scan.step()
    if (result !== null) return result
  }
}

/** The same for a body of any size: between the steps, a few milliseconds each, others have their turn. */
export const scanInTurns = async (body: Uint8Array, wanted: Wanted, turn: () => Promise<void>): Promise<Scan> => {
  const scan = new GoScan(body, wanted)
  for (;;) {
    const result = scan.step()
    if (result !== null) return result
    await turn()
  }
}

/** Every member of this name, as Go would decode them one after the other. */
export const fieldsOf = (scan: Scan, name: string): readonly Field[] =>
  scan.kind === 'object' ? scan.fields.filter(({ key }) => foldKey(key) === name) : []

/** The last member of this name. */
export const field = (scan: Scan, name: string): Field | undefined => fieldsOf(scan, name).at(-1)

/** The member that Go leaves in a field that null cannot change: the last one that is not null. */
export const valueField = (scan: Scan, name: string): Field | undefined =>
  fieldsOf(scan, name).findLast(({ type }) => type !== 'null')

const decoder = new TextDecoder()

/** Decodes one field's value; undefined when it is longer than `bytesMax`, or when a long string in it turns out not to be JSON. */
export const decodeField = (
  body: Uint8Array,
  { start, end }: Pick<Field, 'start' | 'end'>,
  bytesMax = 1_048_576,
): unknown => {
  if (end - start > bytesMax) return undefined
  try {
    return JSON.parse(decoder.decode(body.subarray(start, end)))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Body and scan without some of the members; every other byte stays. */
export const withoutMembers = (
  body: Uint8Array,
  scan: Scan,
  isGone: (field: Field) => boolean,
): { body: Uint8Array; scan: Scan } => {
  const gone = scan.kind === 'object' ? scan.fields.filter(isGone) : []
  if (scan.kind !== 'object' || gone.length === 0) return { body, scan }
  const cuts: { from: number; to: number }[] = []
  let begunAt: number | null = null
  for (const { keyStart, end, commaAt, nextAt } of gone) {
    const isFirst = commaAt === null || begunAt === keyStart
    cuts.push(isFirst ? { from: keyStart, to: nextAt ?? end } : { from: commaAt, to: end })
    if (isFirst) begunAt = nextAt
  }
  const moved = (at: number) => cuts.reduce((to, cut) => (at >= cut.to ? to - (cut.to - cut.from) : to), at)
  const pieces = cuts.map(({ from }, i) => body.subarray(cuts[i - 1]?.to ?? 0, from))
  const fields = scan.fields
    .filter((f) => !gone.includes(f))
    .map((f) => ({ ...f, keyStart: moved(f.keyStart), start: moved(f.start), end: moved(f.end) }))
  const rest = body.subarray(cuts.at(-1)?.to ?? 0)
  return { body: concat([...pieces, rest]), scan: { ...scan, fields, end: moved(scan.end) } }
}
