/** P1: what the target said, to the byte, and what the client asked, to the byte; however TCP and HTTP cut it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { HOPS_HEADER } from '../../src/domain/wire/hops.ts'
import { createDice } from '../support/chance.ts'
import { figure, seedOf } from '../support/figures.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { type RandomExchange, randomExchange } from '../support/random-exchange.ts'
import { type ReceivedRequest, startVerbatimTarget, type VerbatimTarget } from '../support/verbatim-target.ts'
import { openClient, type WireAnswer } from '../support/wire-client.ts'

const EXCHANGES = Number(process.env['FOREMAN_TEST_CHUNKINGS'] ?? 10_000)
const LANES = 4

let target: VerbatimTarget
let foreman: RunningForeman
const planned = new Map<string, RandomExchange>()

beforeAll(async () => {
  target = startVerbatimTarget(({ headers }) => {
    const name = headers.find(([key]) => key.toLowerCase() === 'x-case')?.[1] ?? ''
    const exchange = planned.get(name)
    if (exchange === undefined) throw new Error(`nothing is planned for ${name}`)
    return exchange
  })
  foreman = await runForeman(target.url, { FOREMAN_OLLAMA_TOKEN: 'target-token', FOREMAN_POLL_INTERVAL: '1h' })
  await polled(foreman)
})
afterAll(async () => {
  await foreman.stop()
  target.stop()
})

type Headers = readonly (readonly [string, string])[]

/** Names without their case, repeated ones joined as RFC 9110 allows, sorted. */
const folded = (headers: Headers): string[] => {
  const byName = new Map<string, string>()
  for (const [name, value] of headers) {
    const key = name.toLowerCase()
    const before = byName.get(key)
    byName.set(key, before === undefined ? value : `${before}, ${value}`)
  }
  return [...byName].map(([name, value]) => `${name}: ${value}`).sort()
}

// Framing belongs to each connection, and Bun dates what has no date.
const ownToConnection = new Set(['connection', 'content-length', 'transfer-encoding', 'keep-alive'])
const added = /^x-foreman-(job-id|queue-ms)$/

const endToEndOf = ({ headers }: WireAnswer, hasDate: boolean): Headers =>
  headers.filter(([name]) => {
    const key = name.toLowerCase()
    return !ownToConnection.has(key) && !added.test(key) && (hasDate || key !== 'date')
  })

const checkAnswer = (exchange: RandomExchange, answer: WireAnswer) => {
  const hasDate = exchange.answerHeaders.some(([name]) => name === 'Date')
  expect(answer.ending).toBe('complete')
  expect(answer.status).toBe(exchange.status)
  expect(answer.body.equals(exchange.answerBody)).toBe(true)
  expect(folded(endToEndOf(answer, hasDate))).toEqual(folded(exchange.answerHeaders))
  const isQueued = exchange.kind.startsWith('queued')
  expect(answer.headers.some(([name]) => /^x-foreman-job-id$/i.test(name))).toBe(isQueued)
}

const KEEP_ALIVE = ',"keep_alive":-1}'

/** The client's own body: what foreman added is taken out, where it may add something. */
const withoutKeepAlive = ({ target: path }: RandomExchange, { body }: ReceivedRequest): string => {
  const text = body.toString('latin1')
  if (!/^\/api\/(chat|generate)/.test(path)) return text
  const at = text.lastIndexOf(KEEP_ALIVE)
  expect(at).toBeGreaterThan(0)
  return `${text.slice(0, at)}}${text.slice(at + KEEP_ALIVE.length)}`
}

const checkRequest = (exchange: RandomExchange, received: ReceivedRequest) => {
  expect(received.target).toBe(exchange.target)
  expect(withoutKeepAlive(exchange, received)).toBe(exchange.requestBody.toString('latin1'))
  const framing = new Set(['content-length', 'transfer-encoding', 'connection', 'x-case'])
  // The one header of foreman's own: the instance that was passed, and nothing else.
  const isHops = ([name]: readonly [string, string]) => name === HOPS_HEADER
  expect(received.headers.filter(isHops)).toEqual([[HOPS_HEADER, expect.stringMatching(/^[0-9A-Z]{26}$/)]])
  const headers = received.headers.filter((header) => !framing.has(header[0].toLowerCase()) && !isHops(header))
  expect(folded(headers)).toEqual(
    folded([
      ...exchange.requestHeaders,
      ['Host', `127.0.0.1:${target.port}`],
      ['Authorization', 'Bearer target-token'],
    ]),
  )
}

const kinds = ['queued stream', 'queued whole', 'bypass', 'control'] as const

describe('the passthrough', () => {
  test(`keeps every byte, status and end-to-end header over ${EXCHANGES} random chunkings, both ways`, async () => {
    const dice = createDice(seedOf('passthrough'))
    const startedAt = performance.now()
    let next = 0
    const lane = async () => {
      const client = await openClient(foreman.port)
      for (let number = next++; number < EXCHANGES; number = next++) {
        const name = `case-${number}`
        const exchange = randomExchange(dice, name, kinds[number % kinds.length]!)
        planned.set(name, exchange)
        try {
          const answer = await client.send(exchange.request).answer
          const received = target.received.get(name)
          if (received === undefined) throw new Error(`not received: ${answer.status} ${answer.body.toString()}`)
          checkAnswer(exchange, answer)
          checkRequest(exchange, received)
        } catch (cause) {
          throw new Error(`${name} (${exchange.kind} ${exchange.target} ${exchange.status})`, { cause })
        }
        planned.delete(name)
      }
      client.close()
    }
    await Promise.all(Array.from({ length: LANES }, lane))
    const seconds = (performance.now() - startedAt) / 1_000
    figure('P1', `${EXCHANGES} random chunkings equal to the byte in ${seconds.toFixed(1)} s`)
  }, 120_000)
})
