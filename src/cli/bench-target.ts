/** The few calls that `foreman bench` makes to an Ollama, straight or through foreman; it must never say how long a model stays loaded. */
import type { Io } from './command.ts'
import { fieldOf, jsonOf, numberOf, textOf } from './fields.ts'

/** An answer, or one sentence about why there is none. */
export type Told =
  | { readonly kind: 'ok'; readonly json: unknown }
  | { readonly kind: 'failed'; readonly message: string }

/** One generation as its client saw it, in milliseconds of the monotonic clock. */
export interface Run {
  readonly sentMs: number
  readonly firstMs: number | null
  readonly endedMs: number
  readonly tokens: number
  /** What went wrong; null when it came to its own end. */
  readonly problem: string | null
}

export interface Generation {
  readonly model: string
  readonly prompt: string
  readonly tokens: number
}

export interface BenchTarget {
  readonly url: string
  /** GETs, or POSTs what is given. */
  ask(path: string, body?: object): Promise<Told>
  /** Streams one generation and calls `heard` for every piece. */
  generate(generation: Generation, heard: () => void): Promise<Run>
}

export interface BenchTargetOptions {
  readonly url: string
  readonly token: string | null
  readonly signal: AbortSignal
}

const problemOf = (status: number, text: string): string => {
  const error = fieldOf(jsonOf(text), 'error')
  const said = typeof error === 'string' ? error : textOf(error, 'message')
  return said ?? `${status} ${text.trim().split('\n')[0]?.slice(0, 80) ?? ''}`.trim()
}

/** Reads NDJSON as it comes: how many pieces, and what the last line said. */
const readLines = async (response: Response, heard: () => void): Promise<{ last: unknown; pieces: number }> => {
  const decoder = new TextDecoder()
  let rest = ''
  let last: unknown
  let pieces = 0
  for await (const bytes of response.body ?? []) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      last = jsonOf(line)
      pieces++
      heard()
    }
  }
  return { last, pieces }
}

/** An Ollama at `url`. */
export const createBenchTarget = (io: Io, { url, token, signal }: BenchTargetOptions): BenchTarget => {
  const call = (path: string, body?: object) =>
    io.fetch(`${url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'manual',
      keepalive: false,
      // A model may be silent for long; the whole measurement has a bound of its own.
      timeout: false,
      signal,
    })

  return {
    url,
    async ask(path, body) {
      try {
        const response = await call(path, body)
        const text = await response.text()
        const json = jsonOf(text)
        if (response.status === 200 && json !== undefined) return { kind: 'ok', json }
        return { kind: 'failed', message: problemOf(response.status, text) }
      } catch (error) {
        return { kind: 'failed', message: whyNot(error) }
      }
    },
    async generate({ model, prompt, tokens }, heard) {
      const sentMs = io.clock.monotonicMs()
      let firstMs: number | null = null
      const end = (made: number, problem: string | null): Run => ({
        sentMs,
        firstMs,
        endedMs: io.clock.monotonicMs(),
        tokens: made,
        problem,
      })
      try {
        const body = { model, messages: [{ role: 'user', content: prompt }], options: { num_predict: tokens } }
        const response = await call('/api/chat', { ...body, stream: true })
        if (response.status !== 200) return end(0, problemOf(response.status, await response.text()))
        const { last, pieces } = await readLines(response, () => {
          firstMs ??= io.clock.monotonicMs()
          heard()
        })
        const made = numberOf(last, 'eval_count') ?? pieces
        const error = textOf(last, 'error')
        if (error !== undefined) return end(made, error)
        return end(made, fieldOf(last, 'done') === true ? null : 'the answer broke off')
      } catch (error) {
        return end(0, whyNot(error))
      }
    },
  }
}

const whyNot = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return code === 'ECONNREFUSED' ? 'nothing listens there' : `cannot be reached (${code})`
}
