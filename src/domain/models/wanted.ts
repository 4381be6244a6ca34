/** Which models have to be there, as people write it: names, or names with the Modelfile that makes them. */
import type { Parsed } from '../duration.ts'
import { canonicalName, isCloudName } from '../wire/model-name.ts'

export interface Wanted {
  /** As it was written. */
  readonly model: string
  /** A path; null = it is pulled. */
  readonly modelfile: string | null
}

/** `qwen3:14b` or `uncensored-llama3=./uncensored.Modelfile`. */
export const readWanted = (text: string): Parsed<Wanted> => {
  const at = text.indexOf('=')
  const model = (at < 0 ? text : text.slice(0, at)).trim()
  const modelfile = at < 0 ? null : text.slice(at + 1).trim()
  if (canonicalName(model) === null) return { kind: 'bad', problem: `"${model}" is not a model's name` }
  if (modelfile === '') return { kind: 'bad', problem: `"${text}" names no Modelfile` }
  if (modelfile !== null && isCloudName(model))
    return { kind: 'bad', problem: `"${model}" runs in the cloud and is not made here` }
  return { kind: 'ok', value: { model, modelfile } }
}

/** Several, separated by commas; each model once. */
export const readAllWanted = (text: string): Parsed<readonly Wanted[]> => {
  const wanted = new Map<string, Wanted>()
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue
    const read = readWanted(part)
    if (read.kind === 'bad') return read
    const name = canonicalName(read.value.model) ?? read.value.model
    if (wanted.has(name)) return { kind: 'bad', problem: `"${read.value.model}" is named twice` }
    wanted.set(name, read.value)
  }
  return { kind: 'ok', value: [...wanted.values()] }
}
