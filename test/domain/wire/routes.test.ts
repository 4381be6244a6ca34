/** The route table: every path of Ollama's, its class, and what a wrong method or a stray slash gets. */
import { expect, test } from 'bun:test'
import { matchRoute, ollamaRoutes } from '../../../src/domain/wire/routes.ts'

test('every route of the table matches itself with each of its methods', () => {
  for (const route of ollamaRoutes)
    for (const method of route.methods) {
      const path = route.path.replace(/:\w+/, 'x')
      const parameter = route.path.includes(':') ? 'x' : null
      expect(matchRoute(method, path)).toEqual({ kind: 'route', route, parameter })
    }
})

test('what needs the model goes through the queue, embeddings go past it, everything else is control', () => {
  const pathsOf = (wanted: string) => ollamaRoutes.filter((r) => r.class === wanted).map((r) => r.path)
  expect(pathsOf('queued')).toEqual([
    '/api/chat',
    '/api/generate',
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/responses',
    '/v1/messages',
    '/v1/audio/transcriptions',
  ])
  expect(pathsOf('bypass')).toEqual(['/api/embed', '/api/embeddings', '/v1/embeddings'])
})

test('only the native routes stream when nothing is said', () => {
  const streaming = ollamaRoutes.filter((r) => r.streamDefault).map((r) => r.path)
  expect(streaming).toEqual(['/api/chat', '/api/generate', '/api/pull', '/api/push', '/api/create'])
})

test('what changes the installed models is marked so', () => {
  const writing = ollamaRoutes.filter((r) => r.writes).map((r) => r.path)
  expect(writing).toEqual(['/api/pull', '/api/push', '/api/create', '/api/copy', '/api/delete', '/api/blobs/:digest'])
})

test.each([
  ['GET', '/api/chat', 'POST'],
  ['POST', '/api/tags', 'GET, HEAD'],
  ['HEAD', '/api/ps', 'GET'],
  ['GET', '/api/delete', 'DELETE'],
  ['OPTIONS', '/api/version', 'GET, HEAD'],
  ['GET', '/api/blobs/sha256-x', 'HEAD, POST'],
])('%s %s is not allowed, %s is', (method, path, allow) => {
  expect(matchRoute(method, path)).toEqual({ kind: 'not-allowed', allow })
})

test.each([
  ['GET', '/api/version/', 301, '/api/version'],
  ['POST', '/api/chat/', 307, '/api/chat'],
  ['HEAD', '/api/tags/', 307, '/api/tags'],
  ['GET', '//api/version', 307, '/api/version'],
  ['POST', '/api//chat', 307, '/api/chat'],
] as const)('%s %s is sent on with %d to %s', (method, path, status, location) => {
  expect(matchRoute(method, path)).toEqual({ kind: 'redirect', status, location })
})

test.each([
  ['POST', '/API/chat'],
  ['GET', '/api'],
  ['GET', '/v1/messages/count_tokens'],
  ['GET', '/metrics'],
  ['GET', '/v1/models/me/tiny'],
  ['GET', '/api/blobs/'],
  ['GET', '/api/chat/'],
])('%s %s is nothing that Ollama has', (method, path) => {
  expect(matchRoute(method, path)).toEqual({ kind: 'unknown' })
})

test('a parameter is passed as it was written', () => {
  expect(matchRoute('GET', '/v1/models/me%2Ftiny')).toMatchObject({ kind: 'route', parameter: 'me%2Ftiny' })
  expect(matchRoute('HEAD', '/api/blobs/sha256:00')).toMatchObject({ kind: 'route', parameter: 'sha256:00' })
})
