/** A message to an address of the owner's: what is sent, what comes back, and that nothing of the network throws. */
import { afterEach, expect, test } from 'bun:test'
import { systemClock } from '../../src/clock.ts'
import { createPost } from '../../src/engine/post.ts'
import { createTargetClient } from '../../src/ollama/client.ts'
import { type Receiver, startReceiver } from '../support/receiver.ts'

const post = createPost((url) => createTargetClient({ url, clock: systemClock }))
let receiver: Receiver | undefined
afterEach(async () => {
  await receiver?.stop()
  receiver = undefined
})

test('path, headers, body and the credentials of the address arrive', async () => {
  receiver = startReceiver(() => 200)
  const url = `${receiver.url.replace('http://', 'http://me:s%40cret@')}/topic`
  const posted = await post({ url, headers: [['Title', 'foreman']], body: '{"a":1}' })
  expect(posted).toMatchObject({ kind: 'answered', status: 200 })
  expect(receiver.receipts[0]?.path).toEndWith('/topic')
  expect(receiver.receipts[0]?.text).toBe('{"a":1}')
  expect(receiver.receipts[0]?.headers.get('title')).toBe('foreman')
  expect(receiver.receipts[0]?.headers.get('authorization')).toBe(`Basic ${btoa('me:s@cret')}`)
})

test('a redirect is an answer and not followed, and what cannot be reached or takes too long says so', async () => {
  receiver = startReceiver((_, { length }) =>
    length === 1 ? new Response(null, { status: 302, headers: { location: '/elsewhere' } }) : new Promise(() => {}),
  )
  expect(await post({ url: receiver.url, body: '{}' })).toMatchObject({ kind: 'answered', status: 302 })
  expect(await post({ url: receiver.url, body: '{}', timeoutMs: 50 })).toMatchObject({ kind: 'failed' })
  expect(receiver.receipts.length).toBe(2)
  expect(await post({ url: 'http://127.0.0.1:1/', body: '{}' })).toMatchObject({ kind: 'failed' })
  expect(await post({ url: receiver.url, body: '{}', signal: AbortSignal.abort() })).toEqual({ kind: 'aborted' })
})
