/** Who may come in: one bearer token for all, compared in constant time; without a token everybody may. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { failure } from '../domain/job/failure.ts'
import type { Flavour } from '../domain/wire/routes.ts'
import { refuse } from './refuse.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Answers 401, or null when the request may pass. A preflight carries no credentials and is let through. */
export type Guard = (request: Request, flavour?: Flavour) => Response | null

/** The guard for a token; null = open. */
export const createGuard = (token: string | null): Guard => {
  if (token === null) return () => null
  const wanted = digest(token)
  return (request, flavour = 'native') => {
    if (request.method === 'OPTIONS') return null
    const [, given] = /^bearer\s+(\S+)\s*$/i.exec(request.headers.get('authorization') ?? '') ?? []
    // Anthropic's clients send their key in a header of their own.
    const key = given ?? request.headers.get('x-api-key') ?? ''
    if (timingSafeEqual(digest(key), wanted)) return null
    return refuse(flavour, failure('unauthorized'))
  }
}
