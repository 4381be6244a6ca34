/** One HTTP call to a running foreman for a command; it must never open the database and never print the token. */
import { loadClientConfig } from '../config/config.ts'
import { exitCode, type Io } from './command.ts'
import { jsonOf } from './fields.ts'

/** There is no usable answer: why, and which exit code says so. */
export interface Failed {
  readonly kind: 'failed'
  readonly code: number
  readonly message: string
}

/** An answer of any status. `json` is undefined when it was not JSON. */
export interface Answered {
  readonly kind: 'answered'
  readonly status: number
  readonly json: unknown
  readonly text: string
  readonly headers: Headers
}

export type Reply = Answered | Failed

/** How a stream ended: whole or cut off in the middle, or it never began. */
export type StreamEnd = { readonly kind: 'ended' } | { readonly kind: 'cut' } | Reply

export interface Client {
  readonly url: string
  /** Never to be printed. */
  readonly token: string | null
  request(method: string, path: string, options?: RequestOptions): Promise<Reply>
  /** GETs a stream and hands on its text as it comes. An answer that is not a 200 is read whole. */
  stream(path: string, options: StreamOptions): Promise<StreamEnd>
}

export interface RequestOptions {
  readonly body?: string | Uint8Array<ArrayBuffer>
  readonly headers?: Readonly<Record<string, string>>
  /** Default 10 s; a long poll needs more. */
  readonly timeoutMs?: number
  /** Ends the call early; the reply is then a failure that nobody should print. */
  readonly signal?: AbortSignal
}

export interface StreamOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** Called when the answer has begun, before any text. */
  readonly onOpen: () => void
  readonly onText: (text: string) => void
  /** A stream that is silent for this long is taken for a dead one. */
  readonly silenceMs: number
}

const timeoutMsDefault = 10_000

/** A client for FOREMAN_URL and FOREMAN_TOKEN, or the sentence about which of them is wrong. */
export const createClient = (io: Io): { kind: 'ok'; client: Client } | { kind: 'exit'; code: number } => {
  const loaded = loadClientConfig(io.env)
  if (loaded.kind === 'invalid') {
    for (const problem of loaded.problems) io.stderr.write(`foreman: ${problem}\n`)
    return { kind: 'exit', code: exitCode.usage }
  }
  const { url, token } = loaded.config

  const open = (method: string, path: string, signal: AbortSignal, { body, headers }: RequestOptions) =>
    io.fetch(`${url}${path}`, {
      method,
      headers: { ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
      keepalive: false,
      // Bun's own idle timeout would end a long silence; every call here has a bound of its own.
      timeout: false,
      signal,
    })
  const answerOf = async (response: Response): Promise<Reply> => {
    const text = await response.text()
    if (response.status === 401) return refused(url, token)
    return { kind: 'answered', status: response.status, json: jsonOf(text), text, headers: response.headers }
  }
  const failed = (error: unknown, limitMs: number, isLate: boolean): Failed => ({
    kind: 'failed',
    code: exitCode.unreachable,
    message: isLate ? `${url} did not answer within ${limitMs / 1000} s` : notReached(url, error),
  })

  const request: Client['request'] = async (method, path, options = {}) => {
    const limitMs = options.timeoutMs ?? timeoutMsDefault
    const watch = createWatch(io, limitMs, options.signal)
    try {
      return await answerOf(await open(method, path, watch.signal, options))
    } catch (error) {
      return failed(error, limitMs, watch.isLate())
    } finally {
      watch.stop()
    }
  }
  const stream: Client['stream'] = async (path, { headers = {}, signal, onOpen, onText, silenceMs }) => {
    const watch = createWatch(io, silenceMs, signal)
    let isOpen = false
    try {
      const response = await open('GET', path, watch.signal, { headers })
      if (response.status !== 200 || !response.body) return await answerOf(response)
      isOpen = true
      onOpen()
      const decoder = new TextDecoder()
      for await (const bytes of response.body) {
        watch.again()
        onText(decoder.decode(bytes, { stream: true }))
      }
      return { kind: 'ended' }
    } catch (error) {
      return isOpen ? { kind: 'cut' } : failed(error, silenceMs, watch.isLate())
    } finally {
      watch.stop()
    }
  }
  return { kind: 'ok', client: { url, token, request, stream } }
}

/** Prints why there is no usable answer and gives the exit code for it. */
export const reportFailure = (io: Io, failure: Failed): number => {
  io.stderr.write(`foreman: ${failure.message}\n`)
  return failure.code
}

/** An answer that no foreman gives to this path: most often FOREMAN_URL names something else. */
export const unexpected = (url: string, path: string, status: number) =>
  `${url} answered ${status} to ${path}, which foreman does not: is another server listening there? FOREMAN_URL says where to look`

/** Aborts after `limitMs` without `again`, or with the given signal. */
const createWatch = (io: Io, limitMs: number, outer: AbortSignal | undefined) => {
  const controller = new AbortController()
  let isLate = false
  const abort = () => controller.abort()
  const start = () =>
    io.clock.after(limitMs, () => {
      isLate = true
      abort()
    })
  let cancel = start()
  outer?.addEventListener('abort', abort, { once: true })
  if (outer?.aborted) abort()
  return {
    signal: controller.signal,
    isLate: () => isLate,
    again: () => {
      cancel()
      cancel = start()
    },
    stop: () => {
      cancel()
      outer?.removeEventListener('abort', abort)
    },
  }
}

const refused = (url: string, token: string | null): Failed => ({
  kind: 'failed',
  code: exitCode.unauthorized,
  message:
    token === null
      ? `${url} wants a token: set FOREMAN_TOKEN`
      : `${url} does not accept this token: check FOREMAN_TOKEN`,
})

const notReached = (url: string, error: unknown) => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  if (code === 'ECONNREFUSED')
    return `nothing listens at ${url}: is \`foreman serve\` running? FOREMAN_URL says where to look`
  if (code === 'ENOTFOUND') return `${url} has a host name that cannot be found: check FOREMAN_URL`
  return `${url} cannot be reached (${code})`
}
