/** The only reader of the environment: variables to one frozen Config, or every problem at once; secrets are never printed. */
import { resolve } from 'node:path'
import { nearest } from '../domain/nearest.ts'
import { type Config, type Setting, settings } from './settings.ts'
import { isLoopback, isWildcard, readBaseUrl } from './values.ts'

export type { Config } from './settings.ts'
export type { ListenAddress, WebhookPolicy } from './values.ts'

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

export type LoadedConfig =
  | { readonly kind: 'ok'; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] }

/** Variables of this prefix that are not settings of the daemon but of the client commands. */
export const clientVariables: readonly string[] = ['FOREMAN_URL']

/** Kubernetes puts these into every container beside a service called foreman; they are not typos. */
const isInjected = (name: string, value: string | undefined) =>
  /^FOREMAN_(SERVICE_(HOST|PORT(_.+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/.test(name) ||
  (name === 'FOREMAN_PORT' && /^(tcp|udp|sctp):\/\//.test(value ?? ''))

/** Reads and checks every setting. An empty variable counts as not set, as compose files write it. */
export const loadConfig = (env: Environment): LoadedConfig => {
  const values: { -readonly [Field in keyof Config]?: Config[Field] } = {}
  const problems: string[] = []
  const read = <Field extends keyof Config>(field: Field) => {
    const setting: Setting<Config[Field]> = settings[field]
    const text = env[setting.variable]?.trim() || (field === 'dataDir' ? defaultDataDir(env) : setting.fallback)
    const parsed = setting.parse(text)
    if (parsed.kind === 'ok') values[field] = parsed.value
    else problems.push(problemWith(setting, text, parsed.problem))
  }
  for (const field of fields) read(field)
  problems.push(...unknownVariables(env))
  if (!isComplete(values)) return { kind: 'invalid', problems }
  const config: Config = Object.freeze({
    ...values,
    addr: Object.freeze(values.addr),
    webhookSecrets: Object.freeze(values.webhookSecrets),
    dataDir: resolve(values.dataDir),
  })
  if (isSelf(config)) {
    const target = settings.ollamaUrl.variable
    problems.push(
      `${target} is "${config.ollamaUrl}": that is this foreman's own address (${settings.addr.variable} is ` +
        `"${addressText(config)}"), expected the address of an Ollama server`,
    )
  }
  return problems.length > 0 ? { kind: 'invalid', problems } : { kind: 'ok', config, warnings: warningsAbout(config) }
}

const fields = Object.keys(settings) as (keyof Config)[]

const isComplete = (values: Partial<Config>): values is Config => fields.every((field) => field in values)

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

/** systemd's directory (a colon list when a unit has several), else the XDG data directory, else its default in HOME. */
const defaultDataDir = (env: Environment): string => {
  const state = env['STATE_DIRECTORY']?.split(':')[0]
  if (state) return state
  const data = env['XDG_DATA_HOME']
  // The XDG specification says that a relative path here is to be ignored.
  if (data?.startsWith('/')) return `${data.replace(/\/+$/, '')}/foreman`
  return env['HOME'] ? `${env['HOME'].replace(/\/+$/, '')}/.local/share/foreman` : ''
}

/** A typo must not be silent: the setting it was meant for would keep its default. */
const unknownVariables = (env: Environment): string[] => {
  const known = [...fields.map((field) => settings[field].variable), ...clientVariables]
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
  const problems: string[] = []
  const take = <T>(
    setting: Pick<Setting<T>, 'variable' | 'allowed' | 'secret' | 'fallback' | 'parse'>,
  ): T | undefined => {
    const text = env[setting.variable]?.trim() || setting.fallback
    const parsed = setting.parse(text)
    if (parsed.kind === 'ok') return parsed.value
    problems.push(problemWith(setting, text, parsed.problem))
    return undefined
  }
  const token = take(settings.token) ?? null
  const given = env['FOREMAN_URL']?.trim()
  const allowed = 'the URL of a running foreman such as http://127.0.0.1:8080'
  const url = given
    ? take({ variable: 'FOREMAN_URL', allowed, fallback: '', parse: readBaseUrl })
    : dialable(take(settings.addr))
  return url === undefined || problems.length > 0
    ? { kind: 'invalid', problems }
    : { kind: 'ok', config: { url, token } }
}

/** One listens on every address but dials one of them. */
const dialable = (addr: Config['addr'] | undefined): string | undefined => {
  if (!addr) return undefined
  const hostname = isWildcard(addr.hostname) ? (addr.hostname.includes(':') ? '::1' : '127.0.0.1') : addr.hostname
  return `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${addr.port}`
}
