/** FOREMAN_PIN: the models that are to be loaded always, in the order of their importance. */
import type { Parsed } from '../../domain/duration.ts'
import { bad, ok } from '../../domain/readers.ts'
import { canonicalName, isCloudName } from '../../domain/wire/model-name.ts'

/** Names separated by commas, as they were written. */
export const parsePins = (text: string): Parsed<readonly string[]> => {
  if (text === '') return ok([])
  const names = text.split(',').map((name) => name.trim())
  const seen = new Set<string>()
  for (const name of names) {
    const canonical = canonicalName(name)
    if (canonical === null) return bad(`"${name}" is not a model name`)
    if (isCloudName(name)) return bad(`"${name}" runs in the cloud: there is nothing to pin`)
    if (seen.has(canonical)) return bad(`"${name}" is given twice`)
    seen.add(canonical)
  }
  return ok(names)
}
