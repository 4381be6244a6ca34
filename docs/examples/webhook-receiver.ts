/** A webhook receiver to copy: it checks the signature, takes each event once and answers at once. Run: bun docs/examples/webhook-receiver.ts */
import { createHmac, timingSafeEqual } from 'node:crypto'

const secret = process.env['FOREMAN_WEBHOOK_SECRET'] ?? ''
const toleranceS = 5 * 60

/** `whsec_` and base64 stand for the bytes; any other text is the key itself. */
const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret)

/** True when the body came from somebody who knows the secret, and not long ago. `body` is the bytes as received, never re-written JSON. */
const isGenuine = (headers: Headers, body: Uint8Array): boolean => {
  const id = headers.get('webhook-id') ?? ''
  const timestamp = headers.get('webhook-timestamp') ?? ''
  const signatures = (headers.get('webhook-signature') ?? '').split(' ')
  if (!(Math.abs(Date.now() / 1_000 - Number(timestamp)) <= toleranceS)) return false
  const expected = Buffer.from(
    `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`,
  )
  return signatures.some((signature) => {
    const given = Buffer.from(signature)
    return given.length === expected.length && timingSafeEqual(given, expected)
  })
}

if (key.length === 0) throw new Error('set FOREMAN_WEBHOOK_SECRET to the secret that foreman signs with')

/** The last event of each job. A receiver that must survive a restart keeps this in its database. */
const lastSequence = new Map<string, number>()

const server = Bun.serve({
  port: Number(process.env['PORT'] ?? 9000),
  async fetch(request) {
    const body = new Uint8Array(await request.arrayBuffer())
    if (!isGenuine(request.headers, body)) return new Response('bad signature', { status: 401 })
    const event = JSON.parse(new TextDecoder().decode(body))
    // At least once, in order: a number that was seen already is a repetition, to be accepted and not acted upon.
    const isNew = event.sequence > (lastSequence.get(event.job_id) ?? 0)
    if (isNew) {
      lastSequence.set(event.job_id, event.sequence)
      process.stdout.write(`${event.job_id} ${event.sequence}: ${event.previous_state ?? '-'} -> ${event.state}\n`)
    }
    return new Response(null, { status: 204 })
  },
})

process.stdout.write(`listening on ${server.url}\n`)
