/** Who may be answered by the fallback: what the call says, what its job says, and what its token allows; a token's "never" is the last word. */
import type { Parsed } from '../../domain/duration.ts'
import { bad, ok } from '../../domain/readers.ts'

const words = ['never', 'auto', 'only'] as const
/** never: the target alone. auto: the fallback where the target fails. only: the fallback alone. */
export type Policy = (typeof words)[number]

export interface ClientPolicies {
  readonly clients: ReadonlyMap<string, Policy>
  /** For every token that is not named. */
  readonly rest: Policy | null
}

const wordOf = (text: string): Policy | null => words.find((word) => word === text.trim().toLowerCase()) ?? null

/** `alice=never,ci=only,*=auto`. */
export const parseClientPolicies = (text: string): Parsed<ClientPolicies> => {
  const clients = new Map<string, Policy>()
  for (const pair of text === '' ? [] : text.split(',').map((one) => one.trim())) {
    const [name = '', word = '', ...more] = pair.split('=').map((one) => one.trim())
    const policy = wordOf(word)
    if (name === '' || policy === null || more.length > 0) return bad(`"${pair}" is not a pair such as alice=never`)
    if (clients.has(name)) return bad(`"${name}" is given twice`)
    clients.set(name, policy)
  }
  const rest = clients.get('*') ?? null
  clients.delete('*')
  return ok({ clients, rest })
}

export interface Asking {
  /** What the call says in X-Foreman-Fallback; what cannot be understood counts as not said. */
  readonly asks: string | null
  readonly client: string | null
  /** What its job says, if it has one that nobody waits for. */
  readonly job?: Policy | undefined
}

/** The policy of one call. */
export const policyOf = ({ clients, rest }: ClientPolicies, { asks, client, job }: Asking): Policy => {
  const token = (client === null ? undefined : clients.get(client)) ?? rest
  if (token === 'never') return 'never'
  return job ?? wordOf(asks ?? '') ?? token ?? 'auto'
}
