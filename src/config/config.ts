/** The only reader of the environment: variables to one frozen Config, or every problem at once; secrets are never printed. */
import { nearest } from '../domain/nearest.ts'
import { readBaseUrl } from '../domain/readers.ts'
import type { Environment, Setting, SettingRows, ValuesOf } from '../domain/setting.ts'
import { type Config, settings } from './settings.ts'
import { isLoopback, isWildcard } from './values.ts'

export type { Environment } from '../domain/setting.ts'
export type { Config } from './settings.ts'
export type { ListenAddress, WebhookPolicy } from './values.ts'

export type LoadedConfig =
  | { readonly kind: 'ok'; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] }

/** Variables of this prefix that are not settings of the daemon but of the client commands. */
export const clientVariables: readonly string[] = ['FOREMAN_URL']

/** Kubernetes puts these into every container beside a service called foreman; they are not typos. */
const isInjected = (name: string, value: string | undefined) =>
  /^FOREMAN_(SERVICE_(HOST|PORT(_.+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/.test(name) ||
  (name === 'FOREMAN_PORT' && /^(tcp|udp|sctp):\/\//.test(value ?? ''))

/** What a variable says. Ollama trims blanks and quotes too: docker's env files keep the quotes that a shell would take away. */
const textOf = (env: Environment, { variable, fallback, fallbackFrom }: Setting<unknown>): string =>
  env[variable]
    ?.trim()
    .replace(/^["']+|["']+$/g, '')
    .trim() ||
  (fallbackFrom?.(env) ?? fallback)

/** Reads a table of rows: every value, or every problem at once. */
export const readSettings = <Rows extends SettingRows>(
  rows: Rows,
  env: Environment,
): { readonly values: ValuesOf<Rows> | null; readonly problems: readonly string[] } => {
  const values: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [field, setting] of Object.entries(rows)) {
    const text = textOf(env, setting)
    const parsed = setting.parse(text)
    if (parsed.kind === 'ok') values[field] = Object.freeze(parsed.value)
    else problems.push(problemWith(setting, text, parsed.problem))
  }
  // Every row was read, so every field is there with the type its own reader gave it.
  return { values: problems.length === 0 ? (Object.freeze(values) as ValuesOf<Rows>) : null, problems }
}

/** Reads and checks every setting. An empty variable counts as not set, as compose files write it. */
export const loadConfig = (env: Environment): LoadedConfig => {
  const { values: config, problems } = readSettings(settings, env)
  const all = [...problems, ...unknownVariables(env)]
  if (config !== null && isSelf(config)) {
    const target = settings.ollamaUrl.variable
    all.push(
      `${target} is "${config.ollamaUrl}": that is this foreman's own address (${settings.addr.variable} is ` +
        `"${addressText(config)}"), expected the address of an Ollama server`,
    )
  }
  if (config === null || all.length > 0) return { kind: 'invalid', problems: all }
  return { kind: 'ok', config, warnings: warningsAbout(config) }
}

const problemWith = (
  setting: Pick<Setting<unknown>, 'variable' | 'allowed' | 'secret'>,
  text: string,
  because: string,
) => {
  const expected = `expected ${setting.allowed}${because === '' ? '' : ` (${because})`}`
  if (text === '') return `${setting.variable} is not set and has no default here: ${expected}`
  return `${setting.variable} is ${setting.secret ? 'set to a value that is not shown' : shown(text)}: ${expected}`
}

/** A URL may carry a password, which must not end up in a journal. */
const shown = (text: string) => JSON.stringify(text.replace(/\/\/[^/\s]*@/, '//…@').slice(0, 200))

/** A typo must not be silent: the setting it was meant for would keep its default. */
const unknownVariables = (env: Environment): string[] => {
  const known = [...Object.values(settings).map(({ variable }) => variable), ...clientVariables]
  return Object.keys(env)
    .filter((name) => name.startsWith('FOREMAN_') && !known.includes(name) && !isInjected(name, env[name]))
    .sort()
    .map((name) => {
      const meant = nearest(name, known)
      return `${name} is not a setting of foreman: ${meant ? `did you mean ${meant}?` : '`foreman serve --help` lists them'}`
    })
}

/** Different spellings of one machine on one port. What only DNS can tell is found when foreman starts. */
const isSelf = ({ addr, ollamaUrl }: Config): boolean => {
  const url = new URL(ollamaUrl)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  if (port !== addr.port) return false
  const isHere = (hostname: string) => isLoopback(hostname) || isWildcard(hostname)
  return host.toLowerCase() === addr.hostname.toLowerCase() || (isHere(host) && isHere(addr.hostname))
}

const addressText = ({ addr: { hostname, port } }: Config) =>
  hostname.includes(':') ? `[${hostname}]:${port}` : `${hostname}:${port}`

/** Every value that must not show anywhere, so that the log can take it out of whatever it is given. */
export const secretsIn = (config: Config): string[] => {
  const values: Readonly<Record<string, unknown>> = config
  const secret = Object.entries<Setting<unknown>>(settings).filter(([, row]) => row.secret)
  return secret.flatMap(([field]) => values[field]).filter((value): value is string => typeof value === 'string')
}

const warningsAbout = (config: Config): string[] => {
  if (config.token !== null || isLoopback(config.addr.hostname)) return []
  return [
    `${settings.addr.variable} is "${addressText(config)}" and ${settings.token.variable} is not set: ` +
      'everyone who can reach this address can use it',
  ]
}

/** What a client command needs to know. */
export interface ClientConfig {
  readonly url: string
  readonly token: string | null
}

/** FOREMAN_URL, else the address this environment's own daemon would listen on, as one dials it. */
export const loadClientConfig = (
  env: Environment,
):
  | { readonly kind: 'ok'; readonly config: ClientConfig }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] } => {
  const { addr, token } = settings
  const url = {
    variable: 'FOREMAN_URL',
    fallback: '',
    meaning: 'the foreman that client commands talk to',
    allowed: 'the URL of a running foreman such as http://127.0.0.1:8080',
    parse: readBaseUrl,
  }
  // Which address a daemon of this environment would listen on matters only where no other is named.
  if (textOf(env, url) !== '') {
    const { values, problems } = readSettings({ token, url }, env)
    return values === null ? { kind: 'invalid', problems } : { kind: 'ok', config: values }
  }
  const { values, problems } = readSettings({ token, addr }, env)
  if (values === null) return { kind: 'invalid', problems }
  return { kind: 'ok', config: { url: dialable(values.addr), token: values.token } }
}

/** One listens on every address but dials one of them. */
const dialable = (addr: Config['addr']): string => {
  const hostname = isWildcard(addr.hostname) ? (addr.hostname.includes(':') ? '::1' : '127.0.0.1') : addr.hostname
  return `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${addr.port}`
}
