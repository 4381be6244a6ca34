/** Signs webhook bodies, so that a receiver can tell them from forgeries; pure, and it must never put a secret into a header. */
import { createHmac } from 'node:crypto'

/** One try of one delivery: the id is the same for every try, the timestamp is the try's own. */
export interface Signable {
  readonly id: string
  /** Seconds since the epoch. */
  readonly timestampS: number
  readonly body: Uint8Array
  /** The first also makes X-Foreman-Signature; a second one is there while receivers are moved. */
  readonly secrets: readonly string[]
}

const SECRET_PREFIX = 'whsec_'
// The signed text is id.timestamp.body: an id with a dot could be read as another id at another time.
const safeId = /^[\w-]{1,128}$/

/**
 * The key behind a secret: `whsec_` and base64 stand for the bytes, as Standard Webhooks writes them, and any other text is its
 * own UTF-8 bytes. Both kinds of signature use it.
 */
export const signingKey = (secret: string): Buffer =>
  secret.startsWith(SECRET_PREFIX)
    ? Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64')
    : Buffer.from(secret, 'utf8')

/** The headers of one try. Without secrets there is no signature, only the id that is the same for every try and the time. */
export const signatureHeaders = ({ id, timestampS, body, secrets }: Signable): [string, string][] => {
  if (!safeId.test(id)) throw new Error(`not a webhook id: ${id}`)
  const identity: [string, string][] = [
    ['webhook-id', id],
    ['webhook-timestamp', String(timestampS)],
  ]
  const keys = secrets.map(signingKey)
  const [first] = keys
  if (first === undefined) return identity
  const signatures = keys.map((key) => {
    const signed = createHmac('sha256', key).update(`${id}.${timestampS}.`).update(body)
    return `v1,${signed.digest('base64')}`
  })
  const ownSignature = createHmac('sha256', first).update(body).digest('hex')
  return [...identity, ['webhook-signature', signatures.join(' ')], ['X-Foreman-Signature', `sha256=${ownSignature}`]]
}
