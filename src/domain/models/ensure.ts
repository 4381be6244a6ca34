/** Makes sure that a model is there: listed first, pulled or created only when it is missing, tried at the end; it must ask the registry for nothing that is there. */
import { inventoryFrom } from '../wire/inventory.ts'
import { canonicalName } from '../wire/model-name.ts'
import { type CreateFiles, createRequest, type Modelfile, parseModelfile } from './modelfile.ts'
import { createTransfer, isRegistryAway, type Progress } from './transfer.ts'
import type { Wanted } from './wanted.ts'

export type Asked =
  | { readonly kind: 'answered'; readonly status: number; readonly json: unknown }
  | { readonly kind: 'failed'; readonly message: string }

/** The way to the target and to files, as whoever ensures has them. */
export interface ModelsPort {
  ask(method: 'GET' | 'POST', path: string, body?: object): Promise<Asked>
  /** Posts and hands on the answer's lines to their end; `failed` also when they break off. */
  follow(path: string, body: object, line: (text: string) => void): Promise<Asked>
  /** Null where there is no such file. */
  readText(path: string): Promise<string | null>
  /** `sha256:…` of a file beside `beside`; null where there is none. */
  digestOf(path: string, beside: string): Promise<{ readonly name: string; readonly digest: string } | null>
  /** The file of that digest goes to the target unless it has it; null, or why not. */
  upload(path: string, beside: string, digest: string): Promise<string | null>
  pause(ms: number): Promise<void>
}

export interface EnsureOptions {
  /** Loads the model and lets it say one token. */
  readonly isVerified: boolean
  readonly progress: (progress: Progress) => void
}

export interface Ensured {
  readonly kind: 'ensured'
  readonly how: 'there' | 'pulled' | 'created'
  readonly parameterSize: string | null
  readonly quantization: string | null
  readonly sizeBytes: number | null
  /** How long the one inference took; null = none was asked for. */
  readonly verifiedMs: number | null
}

export type EnsureResult = Ensured | { readonly kind: 'failed'; readonly message: string }

const TRIES_MAX = 5
const AGAIN_MS = 2_000

type Failed = { readonly kind: 'failed'; readonly message: string }
const failed = (message: string): Failed => ({ kind: 'failed', message })

const errorOf = (asked: Asked): string => {
  if (asked.kind === 'failed') return asked.message
  const { error } = Object(asked.json) as { error?: unknown }
  return typeof error === 'string' ? error : `it answered ${asked.status}`
}

const isOk = (asked: Asked): asked is Extract<Asked, { kind: 'answered' }> =>
  asked.kind === 'answered' && asked.status === 200

/** Whether the target lists it; the list is the target's own, and no registry is asked. */
export const isListed = async (port: ModelsPort, model: string): Promise<boolean | Failed> => {
  const asked = await port.ask('GET', '/api/tags')
  const inventory = isOk(asked) ? inventoryFrom(asked.json) : null
  if (inventory === null) return failed(`the target does not list its models: ${errorOf(asked)}`)
  return inventory.has(canonicalName(model) ?? model)
}

/** A transfer that breaks off goes on where it was: Ollama keeps what has come. Without progress it is given up soon. */
const transfer = async (
  port: ModelsPort,
  path: string,
  body: object,
  { progress }: EnsureOptions,
): Promise<null | Failed> => {
  let furthest = -1
  for (let tries = 1; ; tries++) {
    const lines = createTransfer()
    const followed = await port.follow(path, body, (text) => {
      const now = lines.line(text)
      if (now !== null) progress(now)
    })
    const end = lines.end()
    if (end.kind === 'success') return null
    const said = end.kind === 'failed' ? end.message : errorOf(followed)
    const message = isOk(followed) && end.kind === 'cut' ? 'the answer broke off' : said
    // A registry that is away from the first byte on is not waited for: whoever has no network is told at once.
    const isFirmNo = end.kind === 'failed' && (!isRegistryAway(end.message) || lines.completedBytes() === 0)
    if (isFirmNo || (followed.kind === 'answered' && followed.status >= 400)) return failed(message)
    if (lines.completedBytes() > furthest) tries = 1
    furthest = Math.max(furthest, lines.completedBytes())
    if (tries >= TRIES_MAX) return failed(message)
    await port.pause(AGAIN_MS * tries)
  }
}

const pull = async (port: ModelsPort, model: string, options: EnsureOptions): Promise<null | Failed> => {
  const problem = await transfer(port, '/api/pull', { model, stream: true }, options)
  if (problem === null) return null
  const why = isRegistryAway(problem.message) ? 'is missing and the registry cannot be reached' : 'cannot be pulled'
  return failed(`${model} ${why}: ${problem.message}`)
}

/** The files that a Modelfile names, uploaded; FROM may be a model's name, and that model is ensured first. */
const filesOf = async (
  port: ModelsPort,
  path: string,
  { from, adapter, draft }: Modelfile,
): Promise<CreateFiles | Failed> => {
  const files: Record<'from' | 'adapter' | 'draft', Record<string, string> | null> = {
    from: null,
    adapter: null,
    draft: null,
  }
  for (const [role, file] of [
    ['from', from],
    ['adapter', adapter],
    ['draft', draft],
  ] as const) {
    if (file === null) continue
    const found = await port.digestOf(file, path)
    if (found === null && role === 'from') continue
    if (found === null) return failed(`${path} names ${file}, which is not a file`)
    const problem = await port.upload(file, path, found.digest)
    if (problem !== null) return failed(`${file} cannot be given to the target: ${problem}`)
    files[role] = { [found.name]: found.digest }
  }
  return files
}

const create = async (
  port: ModelsPort,
  model: string,
  path: string,
  options: EnsureOptions,
): Promise<null | Failed> => {
  const text = await port.readText(path)
  if (text === null) return failed(`${model} is missing and its Modelfile ${path} cannot be read`)
  const parsed = parseModelfile(text)
  if (parsed.kind === 'bad') return failed(`${path}: ${parsed.problem}`)
  const files = await filesOf(port, path, parsed.modelfile)
  if ('kind' in files) return files
  if (files.from === null) {
    const { from } = parsed.modelfile
    if (canonicalName(from) === null) return failed(`${path}: FROM ${from} is neither a file nor a model's name`)
    const base = await isListed(port, from)
    if (typeof base === 'object') return base
    const problem = base ? null : await pull(port, from, options)
    if (problem !== null) return problem
  }
  const problem = await transfer(port, '/api/create', createRequest(model, parsed.modelfile, files), options)
  return problem === null ? null : failed(`${model} cannot be created from ${path}: ${problem.message}`)
}

/** `silent`: the target did not answer, which says nothing of the model. */
export type Tried =
  | { readonly kind: 'works' }
  | { readonly kind: 'fails'; readonly message: string }
  | { readonly kind: 'silent'; readonly message: string }

/** One token, or one vector: what a model cannot do is no reason to call it broken. */
export const tryOut = async (
  port: Pick<ModelsPort, 'ask'>,
  model: string,
  capabilities: readonly string[],
): Promise<Tried> => {
  const isEmbedder = capabilities.includes('embedding') && !capabilities.includes('completion')
  const asked = isEmbedder
    ? await port.ask('POST', '/api/embed', { model, input: 'test' })
    : await port.ask('POST', '/api/generate', { model, prompt: 'test', stream: false, options: { num_predict: 1 } })
  if (asked.kind === 'failed') return { kind: 'silent', message: asked.message }
  return isOk(asked) ? { kind: 'works' } : { kind: 'fails', message: errorOf(asked) }
}

const describe = async (port: ModelsPort, model: string) => {
  const [shown, tags] = await Promise.all([port.ask('POST', '/api/show', { model }), port.ask('GET', '/api/tags')])
  const { details, capabilities } = Object(isOk(shown) ? shown.json : null) as {
    details?: unknown
    capabilities?: unknown
  }
  const { parameter_size, quantization_level } = Object(details) as Record<string, unknown>
  const { models } = Object(isOk(tags) ? tags.json : null) as { models?: unknown }
  const listed = Array.isArray(models) ? models.map((one) => Object(one) as Record<string, unknown>) : []
  const entry = listed.find(({ name }) => canonicalName(String(name)) === canonicalName(model))
  const textOrNull = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null)
  return {
    parameterSize: textOrNull(parameter_size),
    quantization: textOrNull(quantization_level),
    sizeBytes: typeof entry?.['size'] === 'number' ? entry['size'] : null,
    capabilities: Array.isArray(capabilities) ? capabilities.map(String) : [],
  }
}

/** Ensures one model. What went wrong is one sentence. */
export const ensureModel = async (
  port: ModelsPort,
  { model, modelfile }: Wanted,
  options: EnsureOptions & { readonly now: () => number },
): Promise<EnsureResult> => {
  const listed = await isListed(port, model)
  if (typeof listed === 'object') return listed
  if (!listed) {
    const problem =
      modelfile === null ? await pull(port, model, options) : await create(port, model, modelfile, options)
    if (problem !== null) return problem
  }
  const { capabilities, ...described } = await describe(port, model)
  const how = listed ? 'there' : modelfile === null ? 'pulled' : 'created'
  if (!options.isVerified) return { kind: 'ensured', how, ...described, verifiedMs: null }
  const beganAt = options.now()
  const tried = await tryOut(port, model, capabilities)
  if (tried.kind === 'fails') return failed(`${model} is there and does not work: ${tried.message}`)
  if (tried.kind === 'silent') return failed(`${model} is there and could not be tried out: ${tried.message}`)
  return { kind: 'ensured', how, ...described, verifiedMs: Math.round(options.now() - beganAt) }
}
