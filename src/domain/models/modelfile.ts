/** Reads a Modelfile as Ollama's own command reads it; it must never open a file. */

/** What a Modelfile says, in its own order. */
export interface Modelfile {
  /** A model's name or a path; the last FROM wins, as with Ollama. */
  readonly from: string
  readonly adapter: string | null
  readonly draft: string | null
  readonly texts: Readonly<Partial<Record<'template' | 'system' | 'renderer' | 'parser' | 'requires', string>>>
  readonly licenses: readonly string[]
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly parameters: Readonly<Record<string, number | boolean | string | readonly string[]>>
}

export type ParsedModelfile =
  | { readonly kind: 'ok'; readonly modelfile: Modelfile }
  /** A sentence with the line's number. */
  | { readonly kind: 'bad'; readonly problem: string }

interface Directive {
  readonly line: number
  readonly name: string
  readonly value: string
}

const commands = 'FROM, LICENSE, TEMPLATE, SYSTEM, ADAPTER, DRAFT, RENDERER, PARSER, PARAMETER, MESSAGE, REQUIRES'
const known = new Set(commands.toLowerCase().split(', '))
const textNames = ['template', 'system', 'renderer', 'parser', 'requires'] as const
const isTextName = (name: string): name is (typeof textNames)[number] => textNames.some((text) => text === name)

const integers = new Set(
  'num_keep seed num_predict top_k repeat_last_n num_ctx num_batch num_gpu main_gpu num_thread draft_num_predict'.split(
    ' ',
  ),
)
const floats = new Set(
  'temperature top_p min_p typical_p repeat_penalty presence_penalty frequency_penalty tfs_z'.split(' '),
)
// Ollama warns of them and leaves them out.
const deprecated = new Set(
  'penalize_newline low_vram f16_kv logits_all vocab_only use_mlock mirostat mirostat_tau mirostat_eta'.split(' '),
)

/** The text inside its quotes; null while they are open. */
const unquoted = (text: string): string | null => {
  for (const quote of ['"""', '"']) {
    if (!text.startsWith(quote)) continue
    return text.length >= 2 * quote.length && text.endsWith(quote) ? text.slice(quote.length, -quote.length) : null
  }
  return text
}

class Malformed extends Error {}
const malformed = (line: number, problem: string): never => {
  throw new Malformed(`line ${line}: ${problem}`)
}

/** Commands with their values, which go over several lines while a quote is open. */
const directivesOf = (text: string): Directive[] => {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/)
  const directives: Directive[] = []
  for (let i = 0; i < lines.length; i++) {
    const line = i + 1
    const trimmed = lines[i]?.trimStart() ?? ''
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const [, word = '', rest = ''] = /^([A-Za-z]*)(?:[ \t]+([\s\S]*))?$/.exec(trimmed) ?? []
    const name = word.toLowerCase()
    if (!known.has(name)) malformed(line, `a command must be one of ${commands}`)
    const [, key = '', first = rest] =
      name === 'parameter' || name === 'message'
        ? (/^(\w+)[ \t]+([\s\S]*)$/.exec(rest) ?? malformed(line, `${word} needs a name and a value`))
        : []
    let value = first
    while (unquoted(value.trim()) === null) {
      i++
      if (i >= lines.length) malformed(line, 'a quote is never closed')
      value += `\n${lines[i]}`
    }
    directives.push({ line, name: key === '' ? name : `${name} ${key}`, value: unquoted(value.trim()) ?? '' })
  }
  return directives
}

const parameterOf = (name: string, value: string, line: number): number | boolean | string => {
  const wrong = (what: string) => malformed(line, `PARAMETER ${name} is ${JSON.stringify(value)}: expected ${what}`)
  if (integers.has(name)) return /^[-+]?\d+$/.test(value) ? Number(value) : wrong('a whole number')
  if (floats.has(name)) return value !== '' && Number.isFinite(Number(value)) ? Number(value) : wrong('a number')
  if (name === 'use_mmap') return value === 'true' || value === 'false' ? value === 'true' : wrong('true or false')
  return malformed(line, `there is no parameter ${name}`)
}

const collect = (directives: readonly Directive[]): Modelfile => {
  const texts: Record<string, string> = {}
  const parameters: Record<string, number | boolean | string | readonly string[]> = {}
  const messages: { role: string; content: string }[] = []
  const licenses: string[] = []
  const paths: Record<string, string> = {}
  const stops: string[] = []
  for (const { name, value, line } of directives) {
    const [command = '', key = ''] = name.split(' ')
    if (command === 'message') {
      if (!/^(system|user|assistant)$/.test(key))
        malformed(line, 'the role of a MESSAGE must be system, user or assistant')
      messages.push({ role: key, content: value })
    } else if (command === 'parameter') {
      if (key === 'stop') stops.push(value)
      else if (!deprecated.has(key)) parameters[key] = parameterOf(key, value, line)
    } else if (command === 'license') licenses.push(value)
    else if (isTextName(command)) texts[command] = value
    else paths[command] = value
  }
  const { from, adapter = null, draft = null } = paths
  if (from === undefined || from === '') return malformed(1, 'there is no FROM')
  if (stops.length > 0) parameters['stop'] = stops
  return { from, adapter, draft, texts, licenses, messages, parameters }
}

/** Reads the text of a Modelfile. */
export const parseModelfile = (text: string): ParsedModelfile => {
  try {
    return { kind: 'ok', modelfile: collect(directivesOf(text)) }
  } catch (error) {
    if (error instanceof Malformed) return { kind: 'bad', problem: error.message }
    throw error
  }
}

/** The files that a create takes, as `{ "weights.gguf": "sha256:…" }`; null where FROM is a model's name. */
export interface CreateFiles {
  readonly from: Readonly<Record<string, string>> | null
  readonly adapter: Readonly<Record<string, string>> | null
  readonly draft: Readonly<Record<string, string>> | null
}

/** The body of /api/create. */
export const createRequest = (
  model: string,
  { from, texts, licenses, messages, parameters }: Modelfile,
  files: CreateFiles,
) => ({
  model,
  stream: true,
  ...(files.from === null ? { from } : { files: files.from }),
  ...(files.adapter !== null && { adapters: files.adapter }),
  ...(files.draft !== null && { draft_files: files.draft }),
  ...texts,
  ...(licenses.length > 0 && { license: licenses }),
  ...(messages.length > 0 && { messages }),
  ...(Object.keys(parameters).length > 0 && { parameters }),
})
