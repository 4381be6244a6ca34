/** One HTTP call to a running foreman for a command; it must never open the database and never print the token. */
import { loadClientConfig } from '../config.ts'
import { exitCode, type Io } from './command.ts'

/** An answer of any status, or why there is none and which exit code says so. `json` is undefined when it was not JSON. */
export type Reply =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly json: unknown
      readonly text: string
      readonly headers: Headers
    }
  | { readonly kind: 'failed'; readonly code: number; readonly message: string }

export interface Client {
  readonly url: string
  request(method: string, path: string, options?: RequestOptions): Promise<Reply>
}

export interface RequestOptions {
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Default 10 s; a long poll needs more. */
  readonly timeoutMs?: number
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
  const request: Client['request'] = async (method, path, { body, headers, timeoutMs = timeoutMsDefault } = {}) => {
    const controller = new AbortController()
    const cancelTimeout = io.clock.after(timeoutMs, () => controller.abort())
    try {
      const response = await io.fetch(`${url}${path}`, {
        method,
        headers: { ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
        ...(body === undefined ? {} : { body }),
        redirect: 'manual',
        keepalive: false,
        signal: controller.signal,
      })
      const text = await response.text()
      if (response.status === 401) return refused(url, token)
      return { kind: 'answered', status: response.status, json: jsonOf(text), text, headers: response.headers }
    } catch (error) {
      return {
        kind: 'failed',
        code: exitCode.unreachable,
        message: notReached(url, timeoutMs, controller.signal, error),
      }
    } finally {
      cancelTimeout()
    }
  }
  return { kind: 'ok', client: { url, request } }
}

/** Prints why there is no usable answer and gives the exit code for it. */
export const reportFailure = (io: Io, failure: Extract<Reply, { kind: 'failed' }>): number => {
  io.stderr.write(`foreman: ${failure.message}\n`)
  return failure.code
}

/** An answer that no foreman gives to this path: most often FOREMAN_URL names something else. */
export const unexpected = (url: string, path: string, status: number) =>
  `${url} answered ${status} to ${path}, which foreman does not: is another server listening there? FOREMAN_URL says where to look`

const refused = (url: string, token: string | null): Reply => ({
  kind: 'failed',
  code: exitCode.unauthorized,
  message:
    token === null
      ? `${url} wants a token: set FOREMAN_TOKEN`
      : `${url} does not accept this token: check FOREMAN_TOKEN`,
})

const notReached = (url: string, timeoutMs: number, signal: AbortSignal, error: unknown) => {
  if (signal.aborted) return `${url} did not answer within ${timeoutMs / 1000} s`
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  if (code === 'ECONNREFUSED')
    return `nothing listens at ${url}: is \`foreman serve\` running? FOREMAN_URL says where to look`
  if (code === 'ENOTFOUND') return `${url} has a host name that cannot be found: check FOREMAN_URL`
  return `${url} cannot be reached (${code})`
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
