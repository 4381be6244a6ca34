/** Pull, push, create, copy, delete and blobs on a simulated disk; it must never open a connection to a registry. */
import { parseModelName } from '../domain/wire/model-name.ts'
import { goJson, JSON_PLAIN, NDJSON, sendNativeError } from './answer.ts'
import { type GoStruct, goStructs } from './go-schema.ts'
import { type InstalledModel, sha256 } from './model.ts'
import { type Bag, bag, text } from './request-body.ts'
import { type Call, decodeOrRefuse, generateNames, type Handler, nameProblem, type Stage } from './stage.ts'

const PULL_STEPS = 10
const INVALID_NAME = 'invalid model name'

type Line = Readonly<Record<string, unknown>>

/** A job that reports: its lines in order, with a pause before each. `error` is the last line of one that fails. */
interface Report {
  readonly lines: readonly Line[]
  readonly pauseMs: number
  readonly error: string | null
  /** What takes effect just before the last line. */
  readonly apply: () => void
}

const report = async (stage: Stage, { exchange, fault }: Call, streaming: boolean, job: Report): Promise<void> => {
  const pauseMs = job.pauseMs * (fault?.kind === 'slow' ? fault.factor : 1)
  if (streaming) exchange.begin(200, [NDJSON])
  for (const line of job.lines) {
    if (pauseMs > 0 && !(await stage.pulse.delay(pauseMs, exchange))) return
    if (line === job.lines.at(-1) && job.error === null) job.apply()
    if (streaming) await exchange.chunk(`${goJson(line)}\n`)
    if (exchange.gone) return
  }
  if (!streaming) {
    const last = job.error === null ? job.lines.at(-1) : { error: job.error }
    return exchange.send(job.error === null ? 200 : 500, [JSON_PLAIN], goJson(last))
  }
  if (job.error !== null) exchange.chunk(`${goJson({ error: job.error })}\n`)
  exchange.end()
}

/** The request and the name in it, or null when the call was refused. */
const readNamed = (
  stage: Stage,
  call: Call,
  struct: GoStruct,
  emptyText: string,
): { request: Bag; name: string } | null => {
  const request = decodeOrRefuse(stage, call, call.exchange.request.body, struct)
  if (!request) return null
  const name = text(request.model) || text(request.name)
  const parsed = parseModelName(name)
  if (parsed.kind === 'name') return { request, name }
  sendNativeError(call.exchange, 400, parsed.kind === 'empty' ? emptyText : INVALID_NAME)
  return null
}

const pullLines = (name: string): Line[] => {
  const weights = sha256(`weights ${name}`)
  const total = 2_019_393_189
  const progress = Array.from({ length: PULL_STEPS }, (_, i) => ({
    status: `pulling ${weights.slice(0, 12)}`,
    digest: `sha256:${weights}`,
    total,
    completed: Math.round((total * (i + 1)) / PULL_STEPS),
  }))
  const ends = ['verifying sha256 digest', 'writing manifest', 'success'].map((status) => ({ status }))
  return [{ status: 'pulling manifest' }, ...progress, ...ends]
}

/** Why a name cannot be pulled: the simulated registry has everything but names that begin with `nope`. */
const pullProblem = (stage: Stage, name: string): string | null => {
  const parsed = parseModelName(name)
  if (parsed.kind !== 'name') return INVALID_NAME
  const { host, namespace, model, tag } = parsed.name
  if (stage.registry === 'offline') {
    const url = `https://${host}/v2/${namespace}/${model}/manifests/${tag}`
    return `pull model manifest: Get ${JSON.stringify(url)}: dial tcp: lookup ${host} on 10.255.255.53:53: no such host`
  }
  return model.startsWith('nope') ? 'pull model manifest: file does not exist' : null
}

/** POST /api/pull */
export const pull: Handler = (stage, call) => {
  const read = readNamed(stage, call, goStructs['/api/pull'], INVALID_NAME)
  if (!read) return
  const { request, name } = read
  const error = pullProblem(stage, name)
  return report(stage, call, request.stream !== false, {
    lines: error === null ? pullLines(name) : [{ status: 'pulling manifest' }],
    pauseMs: error === null ? stage.settings.loadMs / PULL_STEPS : 0,
    error,
    apply: () => {
      if (stage.library.find(name).kind !== 'found') stage.library.add({ name })
    },
  })
}

/** POST /api/push */
export const push: Handler = (stage, call) => {
  const read = readNamed(stage, call, goStructs['/api/push'], 'model is required')
  if (!read) return
  const lookup = stage.library.find(read.name)
  const problem = nameProblem(read.name, lookup, generateNames)
  if (problem) return sendNativeError(call.exchange, problem.status, problem.text)
  const lines = ['retrieving manifest', 'pushing manifest', 'success'].map((status) => ({ status }))
  return report(stage, call, read.request.stream !== false, { lines, pauseMs: 0, error: null, apply: () => undefined })
}

const createLines = (source: InstalledModel, name: string): Line[] => [
  { status: `using existing layer sha256:${source.weights}` },
  { status: `using existing layer sha256:${sha256(source.template)}` },
  { status: `creating new layer sha256:${sha256(`config ${name}`)}` },
  { status: 'writing manifest' },
  { status: 'success' },
]

/** POST /api/create from an installed model; the new one shares its weights, and so its runner. */
export const create: Handler = (stage, call) => {
  const read = readNamed(stage, call, goStructs['/api/create'], INVALID_NAME)
  if (!read) return
  const { request, name } = read
  const from = text(request.from)
  if (from === '') return sendNativeError(call.exchange, 400, "neither 'from' or 'files' was specified")
  const lookup = stage.library.find(from)
  const problem = nameProblem(from, lookup, generateNames)
  if (lookup.kind !== 'found')
    return sendNativeError(call.exchange, problem?.status ?? 404, problem?.text ?? INVALID_NAME)
  const { model } = lookup
  const numCtx = bag(request.parameters).num_ctx
  const { digest: _, modifiedAt: __, ...spec } = model.spec
  return report(stage, call, request.stream !== false, {
    lines: createLines(model, name),
    pauseMs: 0,
    error: null,
    apply: () =>
      void stage.library.add({
        ...spec,
        name,
        weights: model.weights,
        ...(typeof numCtx === 'number' ? { numCtx } : {}),
      }),
  })
}

/** POST /api/copy */
export const copy: Handler = (stage, call) => {
  const request = decodeOrRefuse(stage, call, call.exchange.request.body, goStructs['/api/copy'])
  if (!request) return
  const [source, destination] = [text(request.source), text(request.destination)]
  for (const [role, name] of [
    ['source', source],
    ['destination', destination],
  ] as const)
    if (parseModelName(name).kind !== 'name')
      return sendNativeError(call.exchange, 400, `${role} ${JSON.stringify(name)} is invalid`)
  const lookup = stage.library.find(source)
  if (lookup.kind !== 'found') return sendNativeError(call.exchange, 404, `model ${JSON.stringify(source)} not found`)
  const { modifiedAt: _, ...spec } = lookup.model.spec
  const { digest, weights } = lookup.model
  stage.library.add({ ...spec, name: destination, digest, weights })
  call.exchange.send(200, [], '')
}

/** DELETE /api/delete. A loaded runner stays. */
export const remove: Handler = (stage, call) => {
  const read = readNamed(stage, call, goStructs['/api/delete'], INVALID_NAME)
  if (!read) return
  const lookup = stage.library.find(read.name)
  if (lookup.kind !== 'found') return sendNativeError(call.exchange, 404, `model '${read.name}' not found`)
  stage.library.remove(lookup.model)
  call.exchange.send(200, [], '')
}

const DIGEST = /^sha256[:-][0-9a-fA-F]{64}$/

/** HEAD /api/blobs/:digest */
export const headBlob: Handler = (stage, { exchange, parameter }) => {
  if (!DIGEST.test(parameter)) return sendNativeError(exchange, 400, 'invalid digest format')
  if (stage.library.hasBlob(parameter)) return exchange.send(200, [], '')
  sendNativeError(exchange, 404, `blob ${JSON.stringify(parameter)} not found`)
}

/** POST /api/blobs/:digest. The body was hashed on its way in and is not kept. */
export const postBlob: Handler = (stage, { exchange, parameter }) => {
  if (!DIGEST.test(parameter)) return sendNativeError(exchange, 400, 'invalid digest format')
  if (stage.library.hasBlob(parameter)) return exchange.send(200, [], '')
  const got = `sha256:${exchange.request.sha256}`
  if (got !== parameter)
    return sendNativeError(
      exchange,
      400,
      `digest mismatch, expected ${JSON.stringify(parameter)}, got ${JSON.stringify(got)}`,
    )
  stage.library.addBlob(parameter)
  exchange.send(201, [], '')
}
