/** Proves that the Standard Webhooks library takes every signature made here and none of a body that was changed. */
import { describe, expect, test } from 'bun:test'
import { Webhook } from 'standardwebhooks'
import { signatureHeaders } from '../../src/webhook/signature.ts'
import { createDice, type Dice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'

const CASES = 10_000

const bytesOf = ({ between }: Dice, lengthMax: number): Buffer =>
  Buffer.from(Array.from({ length: between(0, lengthMax) }, () => between(0, 255)))

/** A secret of either kind, and the library's reader for it. */
const secretOf = (dice: Dice): { secret: string; webhook: Webhook } => {
  if (dice.chance(0.5)) {
    const secret = `whsec_${Buffer.concat([bytesOf(dice, 40), Buffer.alloc(24, dice.between(0, 255))]).toString('base64')}`
    return { secret, webhook: new Webhook(secret) }
  }
  const secret = `text secret ${dice.between(0, 2 ** 31)}`
  return { secret, webhook: new Webhook(secret, { format: 'raw' }) }
}

const verifies = (webhook: Webhook, body: Buffer, headers: Record<string, string>): boolean => {
  try {
    webhook.verify(body, headers, { jsonParse: false })
    return true
  } catch {
    // The library's only way to say no.
    return false
  }
}

const flipOneBit = (bytes: Buffer, { between }: Dice): Buffer => {
  const changed = Buffer.from(bytes)
  const at = between(0, changed.length - 1)
  changed[at] = changed[at]! ^ (1 << between(0, 7))
  return changed
}

describe('npm standardwebhooks', () => {
  test('takes 10,000 random bodies, also with the second of two secrets, and rejects 10,000 one-bit changes', () => {
    const dice = createDice(seedOf('webhook signatures'))
    const timestampS = Math.floor(Date.now() / 1_000)
    let verified = 0
    let rejected = 0
    for (let i = 0; i < CASES; i++) {
      const { secret, webhook } = secretOf(dice)
      // Text, because the library reads bodies as such; at least one byte, so that there is a bit to flip.
      const body = Buffer.from(`{"n":${i},"text":${JSON.stringify(bytesOf(dice, 60).toString('latin1'))}}`)
      const secrets = dice.pick([[secret], [secret, 'the-other-secret'], ['the-other-secret', secret]])
      const headers = Object.fromEntries(signatureHeaders({ id: `job_${i}`, timestampS, body, secrets }))
      if (verifies(webhook, body, headers)) verified++
      const forged = dice.chance(0.8)
        ? verifies(webhook, flipOneBit(body, dice), headers)
        : verifies(webhook, body, {
            ...headers,
            'webhook-id': flipOneBit(Buffer.from(`job_${i}`), dice).toString('latin1'),
          })
      if (!forged) rejected++
    }
    expect({ verified, rejected }).toEqual({ verified: CASES, rejected: CASES })
    figure('W3', `random bodies verified by standardwebhooks: ${verified}, one-bit changes rejected: ${rejected}`)
  })
})
