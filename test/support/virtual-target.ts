/** An Ollama in memory on a test's own clock: one model at a time, scripted faults, counted loads and overlaps; no socket, no wait. */

import type { Clock } from '../../src/domain/clock.ts'
import type { StopSignal } from '../../src/domain/stop-signal.ts'
import type { BodyRead, Reply, SendTarget } from '../../src/engine/ports.ts'

type Request = Parameters<SendTarget['send']>[0]
type Options = Parameters<SendTarget['send']>[1]

/** What the target does with one request. `hang` never answers, until the request is given up. */
export type Plan =
  | { readonly kind: 'ok'; readonly afterMs?: number; readonly text?: string; readonly type?: string }
  | { readonly kind: 'status'; readonly status: number; readonly error: string; readonly retryAfter?: string }
  | { readonly kind: 'unreached'; readonly afterMs?: number }
  | { readonly kind: 'reset'; readonly afterMs?: number }
  | { readonly kind: 'hang' }
  /** A load that waits until that is so, and then is one; looked at each second. */
  | { readonly kind: 'stuck'; readonly until: () => boolean }
  /** Pieces of a stream, `everyMs` apart, and how it ends. */
  | {
      readonly kind: 'stream'
      readonly pieces: readonly string[]
      readonly ending: 'end' | 'reset' | 'hang'
      readonly everyMs?: number
      readonly type?: string
    }

/** A request as the script sees it. */
export interface Seen {
  readonly path: string
  /** `model`, or `model@num_ctx`. Empty for a GET. */
  readonly key: string
  readonly isLoad: boolean
  /** A request that a job made, not a load and not a question of foreman's own. */
  readonly isWork: boolean
  readonly body: string
  readonly atMs: number
}

export interface VirtualTarget {
  send: SendTarget['send']
  /** False: nothing can be reached, as with a laptop that sleeps. */
  awake: boolean
  /** Decides about one request; undefined leaves it to the target. */
  script: (seen: Seen) => Plan | undefined
  /** The key that was loaded last; to set it is to load it behind everybody's back, alone. */
  resident: string | null
  /** How many models it holds at once, 1 unless a test says otherwise; the longest loaded one makes room. */
  modelSlots: number
  /** What /api/ps says beside the resident. */
  alsoResident: string[]
  /** More members of a model's entry in /api/ps. */
  shown: (model: string) => object
  /** How long an unload takes; whoever gives it up has asked for it all the same. */
  unloadMs: number
  /** Whether it is loaded with these very options. */
  holds(key: string): boolean
  /** Somebody else unloads a model. */
  evict(model: string): void
  /** Models that were unloaded to make room, in their order. */
  readonly pushedOut: readonly { readonly model: string; readonly by: string; readonly atMs: number }[]
  installed: string[]
  readonly seen: readonly Seen[]
  /** Keys in the order they were loaded, by load idiom or by a request that found them missing. */
  readonly loads: readonly string[]
  /** Requests that came while one of another key was served, or as many as may run side by side: must stay 0. */
  readonly overlaps: number
  /** The most that were served at once. */
  readonly mostAtOnce: number
  readonly active: number
  /** Every connection that is open is reset. */
  cut(): void
}

const PIECE = '{"model":"m","message":{"role":"assistant","content":"hi"},"done":false}\n'
/** The last chunk of a native stream. */
export const FINAL = '{"model":"m","message":{"role":"assistant","content":""},"done":true,"eval_count":2}\n'
/** A native stream that ends well. */
export const goodStream = PIECE + FINAL

const encode = (text: string) => new TextEncoder().encode(text)

const answered = (status: number, type: string, text: string, more: [string, string][] = []): Reply => ({
  kind: 'answered',
  status,
  headers: [['Content-Type', type], ...more],
  body: { complete: encode(text), read: async () => ({ kind: 'end' }), cancel: () => undefined },
})

const json = (value: unknown) => answered(200, 'application/json; charset=utf-8', JSON.stringify(value))
const unreached: Reply = { kind: 'unreached', code: 'refused', message: 'connection refused' }
/** The same words, so that what is told reads alike; only who asks for the reason sees the difference. */
const asleep: Reply = { ...unreached, code: 'connect-timeout' }
const broken = { kind: 'broken', code: 'reset', message: 'connection reset by peer' } as const

/** Resolves after `delayMs` of the clock, or at once with `aborted` when the request is given up. */
const after = <T, A>(clock: Clock, delayMs: number | null, signal: StopSignal | undefined, value: T, aborted: A) =>
  new Promise<T | A>((resolve) => {
    if (signal?.aborted) return resolve(aborted)
    if (delayMs === 0) return resolve(value)
    const cancel = delayMs === null ? () => {} : clock.after(delayMs, () => finish(value))
    const give = () => finish(aborted)
    const finish = (outcome: T | A) => {
      cancel()
      signal?.removeEventListener('abort', give)
      resolve(outcome)
    }
    signal?.addEventListener('abort', give)
  })

const gone: Reply = { kind: 'aborted' }

const streamed = (clock: Clock, plan: Extract<Plan, { kind: 'stream' }>, signal: StopSignal | undefined): Reply => {
  let next = 0
  const read = (): Promise<BodyRead> => {
    const piece = plan.pieces[next++]
    const last: BodyRead = plan.ending === 'reset' ? broken : { kind: 'end' }
    const value: BodyRead = piece === undefined ? last : { kind: 'chunk', bytes: encode(piece) }
    const delayMs = piece === undefined && plan.ending === 'hang' ? null : (plan.everyMs ?? 0)
    return after(clock, delayMs, signal, value, { kind: 'aborted' })
  }
  const headers = [['Content-Type', plan.type ?? 'application/x-ndjson']] as const
  return { kind: 'answered', status: 200, headers, body: { complete: null, read, cancel: () => undefined } }
}

const keyOf = (body: string): { key: string; isLoad: boolean; isUnload: boolean } => {
  if (body === '') return { key: '', isLoad: false, isUnload: false }
  const { model = '', options, prompt, messages, keep_alive } = JSON.parse(body)
  const context = options?.num_ctx
  const isLoad = !prompt && !messages
  return { key: context === undefined ? model : `${model}@${context}`, isLoad, isUnload: isLoad && keep_alive === 0 }
}

const modelOf = (key: string) => key.split('@')[0] ?? ''
/** `m` and `m:latest` are one model. */
const isSameModel = (a: string, b: string) => modelOf(a).replace(/:latest$/, '') === modelOf(b).replace(/:latest$/, '')

const contextOf = (key: string) => Number(key.split('@')[1] ?? 4096)

interface VirtualTargetOptions {
  readonly clock: Clock
  readonly loadMs?: number
  readonly workMs?: number
  /** How many requests of one key may be served side by side. */
  readonly parallel?: number
}

const listOf = (names: readonly string[], more: (name: string) => object = () => ({})) => ({
  models: names.map((name) => ({ name, model: name, ...more(name) })),
})

/** A target that is awake and answers everything well until a test says otherwise. */
export const createVirtualTarget = ({
  clock,
  loadMs = 0,
  workMs = 0,
  parallel = 1,
}: VirtualTargetOptions): VirtualTarget => {
  const seen: Seen[] = []
  const loads: string[] = []
  const pushedOut: { model: string; by: string; atMs: number }[] = []
  const active = new Map<Options, Seen>()
  let overlaps = 0
  let mostAtOnce = 0
  let cutting = new AbortController()
  let held: string[] = []

  const perform = async (plan: Plan, request: Seen, options: Options): Promise<Reply> => {
    const { signal } = options
    const wait = (delayMs: number | null, reply: Reply) =>
      after(clock, delayMs, signal, delayMs === null ? gone : reply, gone)
    switch (plan.kind) {
      case 'ok': {
        const reply = request.isLoad
          ? json({ done: true, done_reason: 'load' })
          : answered(200, plan.type ?? 'application/x-ndjson', plan.text ?? goodStream)
        return wait(plan.afterMs ?? (request.isLoad ? 0 : workMs), reply)
      }
      case 'status': {
        const more: [string, string][] = plan.retryAfter === undefined ? [] : [['Retry-After', plan.retryAfter]]
        return answered(plan.status, 'application/json', JSON.stringify({ error: plan.error }), more)
      }
      case 'unreached':
        return wait(plan.afterMs ?? 0, unreached)
      case 'reset':
        return wait(plan.afterMs ?? 0, { ...broken, reused: false })
      case 'hang': {
        const cut = new Promise<Reply>((resolve) =>
          cutting.signal.addEventListener('abort', () => resolve({ ...broken, reused: false })),
        )
        return Promise.race([cut, wait(options.wholeTimeoutMs ?? null, asleep)])
      }
      case 'stuck': {
        while (!plan.until()) if (await after(clock, 1_000, signal, false, true)) return gone
        held.push(request.key)
        loads.push(request.key)
        return json({ done: true, done_reason: 'load' })
      }
      case 'stream':
        return streamed(clock, plan, signal)
      default:
        return plan satisfies never
    }
  }

  const serve = async (request: Seen, options: Options): Promise<Reply> => {
    // One that was given up is none, although it has not noticed yet.
    const others = [...active].filter(([{ signal }]) => !signal?.aborted)
    if (others.length >= parallel || others.some(([, { key }]) => key !== request.key)) overlaps++
    active.set(options, request)
    mostAtOnce = Math.max(mostAtOnce, others.length + 1)
    try {
      const plan = target.script(request) ?? { kind: 'ok' }
      if (plan.kind === 'ok' && !held.includes(request.key)) {
        const others = held.filter((key) => !isSameModel(key, request.key))
        const staying = target.modelSlots === 1 ? [] : others.slice(-(target.modelSlots - 1))
        for (const key of others.filter((other) => !staying.includes(other)))
          pushedOut.push({ model: modelOf(key), by: modelOf(request.key), atMs: clock.monotonicMs() })
        held = staying
        if (loadMs > 0 && (await after(clock, loadMs, options.signal, false, true))) return gone
        loads.push(request.key)
        held.push(request.key)
      }
      return await perform(plan, request, options)
    } finally {
      active.delete(options)
    }
  }

  const small: Record<string, () => Reply> = {
    '/': () => answered(200, 'text/plain; charset=utf-8', 'Ollama is running'),
    '/api/tags': () => json(listOf(target.installed)),
    '/api/ps': () =>
      json(
        listOf([...target.alsoResident, ...held.map(modelOf)], (name) => ({
          context_length: contextOf(held.find((key) => modelOf(key) === name) ?? ''),
          ...target.shown(name),
        })),
      ),
    '/api/version': () => json({ version: '0.33.0' }),
    '/api/embed': () => json({ embeddings: [[1]] }),
    '/api/show': () => json({ capabilities: ['completion', 'insert', 'thinking', 'tools'] }),
  }

  const send = async ({ path, body }: Request, options: Options): Promise<Reply> => {
    const text = body === null ? '' : new TextDecoder().decode(body as Uint8Array)
    const asked = keyOf(text)
    const isWork = small[path] === undefined && !asked.isLoad
    const { key, isLoad } = asked
    const request: Seen = { path, key, isLoad, isWork, body: text, atMs: clock.monotonicMs() }
    seen.push(request)
    // A sleeping laptop does not even refuse: the connect runs into its bound.
    if (!target.awake) return after(clock, options.connectTimeoutMs ?? 10_000, options.signal, asleep, gone)
    const question = small[path]
    if (asked.isUnload) {
      const plan = target.script(request)
      if (plan !== undefined) return perform(plan, request, options)
      await after(clock, target.unloadMs, undefined, null, null)
      // What is at work stays until that is over.
      if (![...active.values()].some((other) => isSameModel(other.key, key))) target.evict(key)
      return json({ done: true, done_reason: 'unload' })
    }
    if (question === undefined) return serve(request, options)
    const plan = target.script(request)
    return plan === undefined ? question() : perform(plan, request, options)
  }

  const target: VirtualTarget = {
    awake: true,
    script: () => undefined,
    get resident() {
      return held.at(-1) ?? null
    },
    set resident(key) {
      held = key === null ? [] : [key]
    },
    modelSlots: 1,
    alsoResident: [],
    shown: () => ({}),
    unloadMs: 0,
    holds: (key) => held.includes(key),
    evict(model) {
      held = held.filter((key) => !isSameModel(key, model))
    },
    pushedOut,
    installed: ['m-a:latest', 'm-b:latest'],
    seen,
    loads,
    get overlaps() {
      return overlaps
    },
    get mostAtOnce() {
      return mostAtOnce
    },
    get active() {
      return active.size
    },
    cut() {
      cutting.abort()
      cutting = new AbortController()
    },
    send,
  }
  return target
}
