/** Judges variables that begin like a setting and are none: a typo stops the start, a neighbour's variable is only told. */
import { nearest } from '../domain/nearest.ts'
import type { Environment, Setting } from '../domain/setting.ts'

/** Variables of this prefix that are not settings of the daemon but of the client commands. */
export const clientVariables: readonly string[] = ['FOREMAN_URL']

const PREFIX = 'FOREMAN_'

/** What Kubernetes and docker links put into the environment for a service called foreman-x: FOREMAN_X_PORT=tcp://… and its like. */
const linked = /(^|_)(SERVICE_(HOST|PORT(_.+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|ENV_.+)$|_NAME$/
const isInjected = (rest: string, value: string) =>
  linked.test(rest) || (/(^|_)PORT$/.test(rest) && /^(tcp|udp|sctp):\/\//.test(value))

/** For a service called foreman itself, which is as it should be. */
const isOwnService = (rest: string) => /^(SERVICE_|PORT($|_\d))/.test(rest)

const sentence = (names: readonly string[]): string[] => {
  if (names.length === 0) return []
  const [are, settings] = names.length === 1 ? ['is', 'no setting'] : ['are', 'no settings']
  return [`${names.join(', ')} ${are} ${settings} of foreman and ignored (\`foreman serve --help\` lists them)`]
}

/** A typo must not be silent: the setting it was meant for would keep its default. */
export const judgeStrangers = (
  env: Environment,
  rows: readonly Setting<unknown>[],
): { readonly problems: readonly string[]; readonly warnings: readonly string[] } => {
  const known = [...rows.map(({ variable }) => variable), ...clientVariables]
  const rests = known.map((name) => name.slice(PREFIX.length))
  const meantBy = (name: string): string | null => {
    const row = rows.find(({ mistaken }) => mistaken?.includes(name))
    if (row) return row.variable
    const near = nearest(name.slice(PREFIX.length), rests)
    return near === null ? null : `${PREFIX}${near}`
  }
  const problems: string[] = []
  const ignored: string[] = []
  for (const name of Object.keys(env).sort()) {
    if (!name.startsWith(PREFIX) || known.includes(name)) continue
    const rest = name.slice(PREFIX.length)
    const injected = isInjected(rest, env[name] ?? '')
    const meant = injected ? null : meantBy(name)
    if (meant !== null) problems.push(`${name} is not a setting of foreman: did you mean ${meant}?`)
    else if (!injected || !isOwnService(rest)) ignored.push(name)
  }
  return { problems, warnings: sentence(ignored) }
}
