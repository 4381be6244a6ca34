/** Proves the signatures against the published vector and against plain node:crypto, byte for byte. */
import { describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { signatureHeaders, signingKey } from '../../src/webhook/signature.ts'

// The Standard Webhooks specification's own example.
const vector = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestampS: 1_614_265_330,
  body: Buffer.from('{"test": 2432232314}'),
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}

const headersOf = (secrets: readonly string[]) =>
  Object.fromEntries(signatureHeaders({ id: vector.id, timestampS: vector.timestampS, body: vector.body, secrets }))

describe('signature', () => {
  test('the published vector comes out', () => {
    expect(headersOf([vector.secret])).toEqual({
      'webhook-id': vector.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': vector.signature,
      'X-Foreman-Signature': `sha256=${createHmac('sha256', signingKey(vector.secret)).update(vector.body).digest('hex')}`,
    })
  })

  test('a secret that is plain text is used as its UTF-8 bytes', () => {
    const secret = 'correct horse bättery'
    const expected = createHmac('sha256', secret).update(vector.body).digest('hex')
    expect(headersOf([secret])['X-Foreman-Signature']).toBe(`sha256=${expected}`)
  })

  test('of two secrets both sign, and the first makes the header that has room for one', () => {
    const both = headersOf(['the-new-secret-text', vector.secret])
    const [first, second, ...more] = String(both['webhook-signature']).split(' ')
    expect(more).toEqual([])
    expect(first).toBe(headersOf(['the-new-secret-text'])['webhook-signature'])
    expect(second).toBe(vector.signature)
    expect(both['X-Foreman-Signature']).toBe(headersOf(['the-new-secret-text'])['X-Foreman-Signature'])
  })

  test.each(['job.1', '', 'a\r\nb', 'job 1'])(
    '%p is no id: it could break out of the header or of the signed text',
    (id) => {
      expect(() => signatureHeaders({ ...vector, id, secrets: [] })).toThrow('not a webhook id')
    },
  )

  test('without a secret there is no signature, but still the id and the time', () => {
    expect(headersOf([])).toEqual({ 'webhook-id': vector.id, 'webhook-timestamp': '1614265330' })
  })
})
