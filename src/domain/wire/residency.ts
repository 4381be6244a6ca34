/** What must be loaded for a job to run; two jobs with one key never cause a swap between them. */

/** The options that make Ollama load a model anew when they change (wire document, 3.6 and 6.8). */
export const reloadOptions = [
  'draft_num_predict',
  'main_gpu',
  'num_batch',
  'num_ctx',
  'num_gpu',
  'num_thread',
  'use_mmap',
] as const

/** The part of a request that decides what is loaded. */
export interface Reload {
  /** Only the options named above, in that order. */
  readonly options: Readonly<Record<string, unknown>>
  readonly shift: unknown
}

/** Picks the reload options out of a request's `options` and `shift`; null counts as absent, as in Ollama. */
export const reloadOf = (options: unknown, shift: unknown): Reload => {
  const given = typeof options === 'object' && options !== null ? new Map(Object.entries(options)) : new Map()
  const picked: Record<string, unknown> = {}
  for (const name of reloadOptions) {
    const value: unknown = given.get(name)
    if (value !== undefined && value !== null) picked[name] = value
  }
  return { options: picked, shift: shift ?? undefined }
}

/** The canonical model name plus every reload option that is set, as one string. */
export const residencyKey = (canonicalModel: string, { options, shift }: Reload): string => {
  const parts = Object.entries(options).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`)
  if (shift !== undefined) parts.push(` shift=${JSON.stringify(shift)}`)
  return canonicalModel + parts.join('')
}

/** The model inside a residency key. */
export const modelOfKey = (key: string): string => {
  const space = key.indexOf(' ')
  return space < 0 ? key : key.slice(0, space)
}

/** The options and `shift` inside a residency key. */
export const reloadOfKey = (key: string): Reload => {
  const pairs = [...key.matchAll(/ (\w+)=("(?:[^"\\]|\\.)*"|[^ ]+)/g)]
  const { shift, ...options } = Object.fromEntries(pairs.map(([, name, value = 'null']) => [name, JSON.parse(value)]))
  return { options, shift }
}
