/** The part that has callers answered elsewhere while the target cannot: its rows in the table of settings, and how it is made. */
import { isLoopback, isWildcard, type ListenAddress } from '../../domain/address.ts'
import { type CoreSettings, definePart } from '../../engine/part.ts'
import { type FallbackSettings, settings } from './settings.ts'

interface Server {
  readonly host: string
  readonly port: number
}

const serverOf = (text: string): Server => {
  const url = new URL(text)
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  return { host: url.hostname.replace(/^\[|\]$/g, '').toLowerCase(), port }
}

const isHere = ({ host }: Server) => isLoopback(host) || isWildcard(host)

const isSame = (a: Server, b: Server): boolean => a.port === b.port && (a.host === b.host || (isHere(a) && isHere(b)))

const listening = ({ hostname, port }: ListenAddress): Server => ({ host: hostname.toLowerCase(), port })

/** What cannot be meant. */
const problems = (values: FallbackSettings & CoreSettings): string[] => {
  const { fallbackUrl: url, fallbackModels, fallbackToken, fallbackClients, ollamaUrl, addr, tokens } = values
  const name = settings.fallbackUrl.variable
  const hasModels = fallbackModels.models.size > 0 || fallbackModels.rest.kind !== 'none'
  if (url === null) {
    const isMeant = hasModels || fallbackToken !== null || fallbackClients.clients.size > 0
    return isMeant ? [`${name} is not set, but others of the fallback are: expected the URL of a server`] : []
  }
  const found: string[] = []
  const isNot = (what: string) => found.push(`${name} is "${url}": that is ${what}, expected another server`)
  if (isSame(serverOf(url), serverOf(ollamaUrl))) isNot('the target itself')
  if (isSame(serverOf(url), listening(addr))) isNot("this foreman's own address")
  if (!hasModels)
    found.push(
      `${settings.fallbackModels.variable} is not set, so that ${name} is of no use: expected pairs such as *=same`,
    )
  const strangers = [...fallbackClients.clients.keys()].filter((client) => !tokens.some((one) => one.name === client))
  // A "never" that is misspelt would let out what must not go out.
  for (const stranger of strangers)
    found.push(
      `${settings.fallbackClients.variable} is about "${stranger}": expected the name of a token of FOREMAN_TOKENS`,
    )
  return found
}

export const fallback = definePart({
  name: 'fallback',
  settings,
  problems,
  create: async (ports) => (await import('./part.ts')).createFallback(ports),
})
