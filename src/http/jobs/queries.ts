/** Which query parameters each path of /jobs takes; one that none takes, or the second of two, would be a filter or a wait that silently is none. */
import type { Problem } from '../../domain/job/problem.ts'
import { nearest } from '../../domain/nearest.ts'
import { pathAndQuery, pathOf } from '../request-path.ts'
import { eventsQuery, listQuery, showQuery } from './schemas.ts'

// What is repeated in a sentence stays short.
const NAMED_MAX_CHARACTERS = 80

const namesOf = ({ properties }: { readonly properties: object }) => Object.keys(properties)

const knownFor = ({ method }: Request, path: string): readonly string[] => {
  if (method !== 'GET') return []
  if (/^\/jobs\/?$/.test(path)) return namesOf(listQuery)
  if (/^\/jobs\/[^/]+\/?$/.test(path)) return namesOf(showQuery)
  return /^\/jobs\/[^/]+\/events\/?$/.test(path) ? namesOf(eventsQuery) : []
}

const advice = (strange: string, known: readonly string[]): string => {
  const near = nearest(strange, known)
  if (near !== null) return `did you mean ${near}?`
  return known.length === 0 ? 'this request takes none' : `expected ${known.join(', ')}`
}

/** What is wrong with the names in a request's query, or null. */
export const strangeQuery = (request: Request): Problem | null => {
  const full = pathAndQuery(request)
  const start = full.indexOf('?')
  if (start < 0) return null
  const known = knownFor(request, pathOf(request))
  const names = [...new URLSearchParams(full.slice(start)).keys()]
  const strange = names.find((name) => !known.includes(name))
  if (strange !== undefined)
    return {
      code: 'invalid',
      detail: `query ${strange.slice(0, NAMED_MAX_CHARACTERS)} is not known: ${advice(strange, known)}`,
    }
  const twice = names.find((name, index) => names.indexOf(name) < index)
  return twice === undefined
    ? null
    : { code: 'invalid', detail: `query ${twice} is given more than once: give it once` }
}
