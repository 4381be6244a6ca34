/** The only reader of the environment: variables to one frozen Config, or every problem at once; secrets are never printed. */
import { addressText, dialledUrl, isLoopback, isWildcard } from '../domain/address.ts'
import { readServerUrl } from '../domain/readers.ts'
import type { Environment, Setting, SettingRows, ValuesOf } from '../domain/setting.ts'
import { type Config, partProblems, settings } from './settings.ts'
import { judgeStrangers } from './strangers.ts'

export type { Environment } from '../domain/setting.ts'
export type { Config } from './settings.ts'
export { clientVariables } from './strangers.ts'
export type { WebhookPolicy } from './values.ts'

export type LoadedConfig =
  | { readonly kind: 'ok'; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly kind: 'invalid'; readonly problems: readonly string[] }

/** Flags of `foreman serve` by their name; a flag wins over its variable. */
export type Flags = Readonly<Record<string, unknown>>

/** What a flag or a variable says, and by which of the two names. */
const said = (env: Environment, flags: Flags, { variable, flag, fallback, fallbackFrom }: Setting<unknown>) => {
  const given = flag === undefined ? undefined : flags[flag[0]]
  if (flag !== undefined && typeof given === 'string') return { name: `--${flag[0]}`, text: given.trim() }
  // Ollama trims blanks and quotes too: docker's env files keep the quotes that a shell would take away.
  const text = env[variable]
    ?.trim()
    .replace(/^["']+|["']+$/g, '')
    .trim()
  return { name: variable, text: text || (fallbackFrom?.(env) ?? fallback) }
}

/** Reads a table of rows: every value, or every problem at once. */
export const readSettings = <Rows extends SettingRows>(
  rows: Rows,
  env: Environment,
  flags: Flags = {},
): { readonly values: ValuesOf<Rows> | null; readonly problems: readonly string[] } => {
  const values: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [field, setting] of Object.entries(rows)) {
    const { name, text } = said(env, flags, setting)
    const parsed = setting.parse(text)
    if (parsed.kind === 'ok') values[field] = Object.freeze(parsed.value)
    else problems.push(problemWith(name, text, setting, parsed.problem))
  }
  // Every row was read, so every field is there with the type its own reader gave it.
  return { values: problems.length === 0 ? (Object.freeze(values) as ValuesOf<Rows>) : null, problems }
}

/** Reads and checks every setting. An empty variable counts as not set, as compose files write it. */
export const loadConfig = (env: Environment, flags: Flags = {}): LoadedConfig => {
  const { values: config, problems } = readSettings(settings, env, flags)
  const strangers = judgeStrangers(env, Object.values(settings))
  const all = [...problems, ...strangers.problems]
  if (config !== null && isSelf(config)) {
    const target = said(env, flags, settings.ollamaUrl)
    const addr = said(env, flags, settings.addr)
    all.push(
      `${target.name} is "${config.ollamaUrl}": that is this foreman's own address (${addr.name} is ` +
        `"${addressText(config.addr)}"), expected the address of an Ollama server`,
    )
  }
  if (config !== null) all.push(...tokenProblems(config), ...partProblems(config))
  if (config === null || all.length > 0) return { kind: 'invalid', problems: all }
  return { kind: 'ok', config, warnings: [...strangers.warnings, ...warningsAbout(config)] }
}

/** Whoever came with it would be two. */
const tokenProblems = ({ token, tokens }: Config): string[] =>
  tokens.some((named) => named.token === token)
    ? [
        `${settings.tokens.variable} is set to a value that is not shown: expected no token that is ${settings.token.variable} too`,
      ]
    : []

const problemWith = (
  name: string,
  text: string,
  { allowed, secret }: Pick<Setting<unknown>, 'allowed' | 'secret'>,
  because: string,
) => {
  const expected = `expected ${allowed}${because === '' ? '' : ` (${because})`}`
  if (text === '') return `${name} is not set and has no default here: ${expected}`
  return `${name} is ${secret ? 'set to a value that is not shown' : shown(text)}: ${expected}`
}

/** A URL may carry a password, which must not end up in a journal. */
const shown = (text: string) => JSON.stringify(text.replace(/(^|\/\/)[^/\s]*@/, '$1…@').slice(0, 200))

/** Different spellings of one machine on one port. What only DNS can tell is found when foreman starts. */
const isSelf = ({ addr, ollamaUrl }: Config): boolean => {
  const url = new URL(ollamaUrl)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  if (port !== addr.port) return false
  const isHere = (hostname: string) => isLoopback(hostname) || isWildcard(hostname)
  return host.toLowerCase() === addr.hostname.toLowerCase() || (isHere(host) && isHere(addr.hostname))
}

/** Every value that must not show anywhere, so that the log can take it out of whatever it is given. */
export const secretsIn = (config: Config): string[] => {
  const values: Readonly<Record<string, unknown>> = config
  const secret = Object.entries<Setting<unknown>>(settings).filter(([, row]) => row.secret)
  const texts = secret.flatMap(([field]) => values[field]).filter((value): value is string => typeof value === 'string')
  return [...texts, ...config.tokens.map(({ token }) => token)]
}

const warningsAbout = (config: Config): string[] => {
  if (config.token !== null || config.tokens.length > 0 || isLoopback(config.addr.hostname)) return []
  return [
    `${settings.addr.variable} is "${addressText(config.addr)}" and ${settings.token.variable} is not set: ` +
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
    allowed: 'the URL of a running foreman such as http://nas:8080 or nas',
    parse: readServerUrl(8080),
  }
  // Which address a daemon of this environment would listen on matters only where no other is named.
  if (said(env, {}, url).text !== '') {
    const { values, problems } = readSettings({ token, url }, env)
    return values === null ? { kind: 'invalid', problems } : { kind: 'ok', config: values }
  }
  const { values, problems } = readSettings({ token, addr }, env)
  if (values === null) return { kind: 'invalid', problems }
  return { kind: 'ok', config: { url: dialledUrl(values.addr), token: values.token } }
}

/** What is sent to the target, for a command that talks to it directly. */
export const loadTargetToken = (
  env: Environment,
): { readonly kind: 'ok'; readonly token: string | null } | { readonly kind: 'invalid'; readonly problem: string } => {
  const { values, problems } = readSettings({ token: settings.ollamaToken }, env)
  return values === null ? { kind: 'invalid', problem: problems.join('; ') } : { kind: 'ok', token: values.token }
}
