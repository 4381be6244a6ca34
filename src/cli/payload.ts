/** The flags of `foreman submit` to the body of POST /jobs; it must never guess what was left out. */
import { canonicalName } from '../domain/wire/model-name.ts'
import type { Io } from './command.ts'
import { jsonOf } from './fields.ts'

/** The flags of submit that say what to send. */
export const payloadOptions = {
  model: { type: 'string' },
  system: { type: 'string' },
  file: { type: 'string' },
  image: { type: 'string', multiple: true },
  option: { type: 'string', multiple: true },
  format: { type: 'string' },
  webhook: { type: 'string' },
  'webhook-events': { type: 'string' },
  'raw-body': { type: 'string' },
} as const

export interface PayloadFlags {
  readonly model?: string
  readonly system?: string
  readonly file?: string
  readonly image?: readonly string[]
  readonly option?: readonly string[]
  readonly format?: string
  readonly webhook?: string
  readonly 'webhook-events'?: string
  readonly 'raw-body'?: string
}

export type Payload =
  | { readonly kind: 'payload'; readonly body: string | Uint8Array<ArrayBuffer> }
  | { readonly kind: 'wrong'; readonly problem: string }

/** A sentence about the command line, thrown only within this file. */
class Fault extends Error {}

/** `foreman submit llama3.2:3b Why?`, as people of `ollama run` type it: without --model the first word is the model. */
export const withModel = (
  flags: PayloadFlags,
  words: readonly string[],
): { flags: PayloadFlags; words: readonly string[] } => {
  const [model, ...prompt] = words
  if (flags.model !== undefined || flags['raw-body'] !== undefined) return { flags, words }
  if (model === undefined || canonicalName(model) === null) return { flags, words }
  // The rest is one prompt, with or without quotes; "-" keeps its meaning.
  const spoken = prompt.filter((word) => word !== '-').join(' ')
  const piped = prompt.includes('-') ? ['-'] : []
  return { flags: { ...flags, model }, words: [...(spoken === '' ? [] : [spoken]), ...piped] }
}

/** The body, or one sentence about the flag that is wrong. */
export const readPayload = async (io: Io, flags: PayloadFlags, words: readonly string[]): Promise<Payload> => {
  try {
    const raw = flags['raw-body']
    const body = raw === undefined ? await chatBody(io, flags, words) : await rawBody(io, flags, words, raw)
    return { kind: 'payload', body }
  } catch (error) {
    if (error instanceof Fault) return { kind: 'wrong', problem: error.message }
    throw error
  }
}

/** As it is: whoever writes the JSON knows fields that this command does not. */
const rawBody = async (io: Io, flags: PayloadFlags, words: readonly string[], path: string) => {
  const other = Object.keys(payloadOptions).find((name) => name !== 'raw-body' && Object.hasOwn(flags, name))
  if (other !== undefined || words.length > 0)
    throw new Fault(
      `--raw-body is the whole body: put ${other === undefined ? 'the prompt' : `what --${other} says`} into it`,
    )
  return Uint8Array.from(await bytesOf(io, '--raw-body', path))
}

const chatBody = async (io: Io, flags: PayloadFlags, words: readonly string[]) => {
  const { model, system, webhook, 'webhook-events': events } = flags
  if (model === undefined)
    throw new Fault('which model? `foreman submit MODEL PROMPT`; `foreman models` lists the installed ones')
  const options = optionsOf(flags.option ?? [])
  const format = flags.format === undefined ? undefined : await formatOf(io, flags.format)
  const images = await Promise.all((flags.image ?? []).map((path) => bytesOf(io, '--image', path)))
  const content = await promptOf(io, flags, words)
  return JSON.stringify({
    model,
    messages: [
      ...(system === undefined ? [] : [{ role: 'system', content: system }]),
      {
        role: 'user',
        content,
        ...(images.length > 0 && { images: images.map((bytes) => Buffer.from(bytes).toString('base64')) }),
      },
    ],
    ...(options !== null && { options }),
    ...(format !== undefined && { format }),
    ...(webhook !== undefined && { state_webhook_url: webhook }),
    ...(events !== undefined && { state_webhook_events: eventsOf(events) }),
  })
}

/** A word of its own, or a list of states; foreman says what is wrong with it. */
const eventsOf = (text: string): string | string[] =>
  text === 'final' || text === 'all' ? text : text.split(',').map((state) => state.trim())

/** The argument, the file and stdin, those that are given, in this order. */
const promptOf = async (io: Io, { file }: PayloadFlags, words: readonly string[]): Promise<string> => {
  const isPiped = words.length === 0 && file === undefined && !io.stdin.isTerminal
  if (words.length === 0 && file === undefined && !isPiped)
    throw new Fault('what is the prompt? Give it as an argument, with --file PATH, or pipe it in')
  const parts: string[] = []
  for (const word of words) if (word !== '-') parts.push(word)
  if (file !== undefined) parts.push(textOf(await bytesOf(io, '--file', file), `--file ${file}`))
  if (isPiped || (words.includes('-') && file !== '-'))
    parts.push(textOf(await bytesOf(io, 'the prompt', '-'), 'what was piped in'))
  const prompt = parts.join('\n\n')
  if (prompt.trim() === '') throw new Fault('the prompt is empty')
  return prompt
}

const bytesOf = async (io: Io, flag: string, path: string): Promise<Uint8Array> => {
  if (path === '-' && io.stdin.isTerminal) throw new Fault(`${flag} is read from stdin, but nothing is piped in`)
  try {
    return await (path === '-' ? io.stdin.read() : io.readFile(path))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : null
    if (code === null) throw error
    throw new Fault(
      code === 'ENOENT' ? `${flag} ${path}: there is no such file` : `${flag} ${path} cannot be read (${code})`,
    )
  }
}

const textOf = (bytes: Uint8Array, what: string): string => {
  try {
    // The line end that every editor adds is not part of a prompt.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, '')
  } catch (error) {
    if (error instanceof TypeError) throw new Fault(`${what} is not UTF-8 text: pictures go with --image`)
    throw error
  }
}

/** `num_ctx=8192` is a number, `stop=["END"]` a list, `stop=END` a text; null when there are none. */
const optionsOf = (pairs: readonly string[]): Record<string, unknown> | null => {
  const options = new Map<string, unknown>()
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1 || at === pair.length - 1)
      throw new Fault(`--option is "${pair}": expected key=value such as num_ctx=8192`)
    const text = pair.slice(at + 1)
    options.set(pair.slice(0, at), jsonOf(text) ?? text)
  }
  return options.size === 0 ? null : Object.fromEntries(options)
}

const formatOf = async (io: Io, text: string): Promise<unknown> => {
  if (text === 'json') return text
  const schema = jsonOf(textOf(await bytesOf(io, '--format', text), `--format ${text}`))
  if (typeof schema !== 'object' || schema === null) throw new Fault(`--format ${text} holds no JSON schema`)
  return schema
}
