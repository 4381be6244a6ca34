/** What a request is told that reaches no route, in the words of the part of foreman it was for; it must never say more than that. */
import { failure } from '../domain/job/failure.ts'
import { flavourOf } from '../domain/wire/routes.ts'
import { problemResponse } from './jobs/problem.ts'
import { refuse } from './refuse.ts'

/** Whether a request is for /jobs. */
export const isJobsPath = (path: string): boolean => /^\/jobs(?:\/|$)/.test(path)

/** Nobody known asks. */
export const unauthorized = (request: Request, path: string): Response =>
  isJobsPath(path)
    ? problemResponse(request, { code: 'unauthorized', detail: 'send FOREMAN_TOKEN as a bearer token' })
    : refuse(flavourOf(path), failure('unauthorized'))

/** Go's words for a path that nothing stands at. */
export const notFound = (): Response =>
  new Response('404 page not found', { status: 404, headers: { 'Content-Type': 'text/plain' } })

/** A path that two programs could read in two ways: no route is called so, and it is never sent on. */
export const badPath = (request: Request, path: string): Response =>
  isJobsPath(path) ? problemResponse(request, { code: 'not-found', detail: 'there is no such path' }) : notFound()
