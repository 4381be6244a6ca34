/** One token of a model that is loaded anyway: the only question whose answer shows that the target works; it must never load, reload or hold on to a model. */
import type { Clock } from '../../domain/clock.ts'
import { drainBody } from '../../domain/wire/body.ts'
import { type ResidentModel, residentsFrom } from '../../domain/wire/inventory.ts'
import { reloadOfKey } from '../../domain/wire/residency.ts'
import type { PartTarget } from '../../engine/part.ts'

/** `neutral` says nothing about its health: a refusal, a busy target, a question that was given up. */
export type Judged =
  | { readonly kind: 'good' | 'slow'; readonly words: string; readonly latencyMs: number | null }
  | { readonly kind: 'failed' | 'neutral'; readonly words: string }

export interface InferenceDeps {
  readonly target: PartTarget
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>
  /** On this machine: then silence is no sleep. */
  readonly isNear: boolean
}

const LIST_TIMEOUT_MS = 5_000
const SLOW_MS = 5_000
const FAILED_MS = 15_000
// What is to go in minutes must be allowed to: each question would keep it for as long again.
const STAYS_MS = 30 * 24 * 3_600_000
// An answer that had to wait for a load: with the options that were asked for it was not there after all.
const LOADED_NS = 500_000_000
const BYTES_MAX = 1_048_576

type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly json: Readonly<Record<string, unknown>> | null }
  | { readonly kind: 'none'; readonly code: string; readonly words: string }
  | { readonly kind: 'given-up' }

const parsed = (bytes: Uint8Array): Readonly<Record<string, unknown>> | null => {
  try {
    return Object(JSON.parse(new TextDecoder().decode(bytes)))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

const ask = async (
  { send }: Pick<PartTarget, 'send'>,
  path: string,
  { body, timeoutMs, signal }: { readonly body?: object; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Answer> => {
  const request = {
    method: body === undefined ? 'GET' : 'POST',
    path,
    headers: body === undefined ? [] : ([['Content-Type', 'application/json']] as const),
    body: body === undefined ? null : new TextEncoder().encode(JSON.stringify(body)),
  }
  const bounds = { wholeTimeoutMs: timeoutMs, connectTimeoutMs: Math.min(timeoutMs, LIST_TIMEOUT_MS) }
  const reply = await send(request, { reuse: false, ...bounds, signal })
  if (reply.kind === 'aborted') return { kind: 'given-up' }
  if (reply.kind !== 'answered') return { kind: 'none', code: reply.code, words: reply.message }
  const read = await drainBody(reply.body, { max: BYTES_MAX })
  if (read.kind === 'aborted') return { kind: 'given-up' }
  if (read.kind === 'broken') return { kind: 'none', code: read.code, words: read.message }
  return { kind: 'answered', status: reply.status, json: read.kind === 'whole' ? parsed(read.bytes) : null }
}

const GIVEN_UP: Judged = { kind: 'neutral', words: 'the question was given up for work that came' }

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`

/** Asks one target. */
export class Inference {
  readonly #deps: InferenceDeps
  /** Whether a model can chat, by its digest. */
  readonly #chats = new Map<string, boolean>()
  /** Models that a question loaded anew, as somebody else had loaded them with options that cannot be seen. */
  readonly #reloaded = new Set<string>()

  constructor(deps: InferenceDeps) {
    this.#deps = deps
  }

  /** Looks what is loaded, and asks it for a token; without such a model an answer at all must do. */
  async judge(signal: AbortSignal): Promise<Judged> {
    const { target, clock } = this.#deps
    const askedAtMs = clock.monotonicMs()
    const listed = await ask(target, '/api/ps', { timeoutMs: LIST_TIMEOUT_MS, signal })
    if (listed.kind === 'given-up' || signal.aborted) return GIVEN_UP
    if (listed.kind === 'none') return this.#unanswered(listed)
    if (listed.status !== 200) return { kind: 'neutral', words: `/api/ps answered ${listed.status}` }
    const model = await this.#choose(residentsFrom(listed.json) ?? [], signal)
    if (signal.aborted) return GIVEN_UP
    if (model !== null) return this.#infer(model, signal)
    const latencyMs = clock.monotonicMs() - askedAtMs
    return { kind: 'good', words: 'it answers, and holds no model that could be asked', latencyMs }
  }

  /** A machine that sleeps says nothing; one that is there and refuses, or is this one, has no such excuse. */
  #unanswered({ code, words }: Extract<Answer, { kind: 'none' }>): Judged {
    if (this.#deps.isNear || code === 'refused') return { kind: 'failed', words: `it does not answer: ${words}` }
    return { kind: 'neutral', words: `it cannot be reached: ${words}` }
  }

  async #choose(residents: readonly ResidentModel[], signal: AbortSignal): Promise<ResidentModel | null> {
    for (const resident of residents) {
      const isUnsure = this.#keyOf(resident) === undefined && this.#reloaded.has(resident.canonical)
      if (isUnsure || !this.#stays(resident)) continue
      if (await this.#canChat(resident, signal)) return resident
    }
    return null
  }

  #keyOf({ canonical }: ResidentModel): string | undefined {
    const { loadedKeys } = this.#deps.target.residency()
    return loadedKeys.find((key) => key === canonical || key.startsWith(`${canonical} `))
  }

  #stays({ expiresAt }: ResidentModel): boolean {
    return expiresAt !== null && Date.parse(expiresAt) - this.#deps.clock.now() > STAYS_MS
  }

  async #canChat({ name, canonical }: ResidentModel, signal: AbortSignal): Promise<boolean> {
    const { target } = this.#deps
    const installed = target.view().inventory.get(canonical)
    if (installed?.remote) return false
    if (installed && installed.capabilities.length > 0) return installed.capabilities.includes('completion')
    const key = installed?.digest || canonical
    const known = this.#chats.get(key)
    if (known !== undefined) return known
    const shown = await ask(target, '/api/show', { body: { model: name }, timeoutMs: LIST_TIMEOUT_MS, signal })
    const capabilities = shown.kind === 'answered' ? shown.json?.['capabilities'] : null
    if (!Array.isArray(capabilities)) return false
    this.#chats.set(key, capabilities.includes('completion'))
    return capabilities.includes('completion')
  }

  async #infer(model: ResidentModel, signal: AbortSignal): Promise<Judged> {
    const { target, clock } = this.#deps
    const { name, canonical, contextLength } = model
    const key = this.#keyOf(model)
    // What it was loaded with, or Ollama loads it anew; of one that somebody else loaded only its context can be seen.
    const seen = { options: contextLength === null ? {} : { num_ctx: contextLength }, shift: undefined }
    const { options, shift } = key === undefined ? seen : reloadOfKey(key)
    const askedAtMs = clock.monotonicMs()
    const body = { model: name, prompt: 'test', stream: false, shift, options: { ...options, num_predict: 1 } }
    const answer = await ask(target, '/api/generate', { body, timeoutMs: FAILED_MS, signal })
    const latencyMs = clock.monotonicMs() - askedAtMs
    if (answer.kind === 'given-up' || signal.aborted) return GIVEN_UP
    if (answer.kind === 'none') return { kind: 'failed', words: `no token of ${name}: ${answer.words}` }
    const { status, json } = answer
    if (status >= 400 && status !== 500) return { kind: 'neutral', words: `${name} answered ${status}` }
    if (status !== 200) return { kind: 'failed', words: `${name} answered ${status}: ${String(json?.['error'] ?? '')}` }
    if (Number(json?.['load_duration']) > LOADED_NS) this.#reloaded.add(canonical)
    const words = `a token of ${name} took ${seconds(latencyMs)}`
    return { kind: latencyMs < SLOW_MS ? 'good' : 'slow', words, latencyMs }
  }
}
