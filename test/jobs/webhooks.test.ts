/** Webhooks of a real foreman over real sockets: what is posted, in which order, how it is signed, and where it may not go. */
import { afterEach, describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningForeman, runForeman } from '../support/foreman.ts'
import { polled } from '../support/health.ts'
import { chat, type JobsClient, jobsClient } from '../support/jobs-client.ts'
import { eventually } from '../support/patience.ts'
import { type Receiver, startReceiver, statesOf } from '../support/receiver.ts'
import { transcriptModels } from '../support/transcript-models.ts'

let cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  cleanUps = []
})

const receiverOf = (...args: Parameters<typeof startReceiver>): Receiver => {
  const receiver = startReceiver(...args)
  cleanUps.push(receiver.stop)
  return receiver
}

interface Rig {
  readonly simulator: Simulator
  readonly foreman: RunningForeman
  readonly jobs: JobsClient
}

const startRig = async (env: Record<string, string> = {}, loadMs = 0): Promise<Rig> => {
  const simulator = await startSimulator({ models: transcriptModels, loadMs })
  cleanUps.push(simulator.stop)
  const foreman = await runForeman(simulator.url, env)
  cleanUps.push(foreman.stop)
  await polled(foreman)
  return { simulator, foreman, jobs: jobsClient(foreman) }
}

const SLOW_MS = 150

const hooked = (receiver: Receiver, prompt = '[[n=3]]') => chat(prompt, { state_webhook_url: receiver.url })

describe('what is told', () => {
  test('queued, loading, working and done come in order, with every member and the result in the last', async () => {
    const receiver = receiverOf()
    const { jobs } = await startRig({ FOREMAN_PUBLIC_URL: 'https://foreman.example.org' })
    const id = await jobs.submit(hooked(receiver))
    const told = await receiver.told(id)
    expect(statesOf(told)).toEqual(['queued', 'loading', 'working', 'done'])
    expect(told.map(({ body }) => body.previous_state)).toEqual([null, 'queued', 'loading', 'working'])
    expect(told.map(({ body }) => body.sequence)).toEqual([1, 2, 3, 4])
    expect(told.map(({ body }) => body.attempt)).toEqual([0, 1, 1, 1])
    for (const { body, headers } of told) {
      expect(Object.keys(body)).toEqual([
        ...['job_id', 'state', 'previous_state', 'sequence', 'timestamp', 'model', 'attempt'],
        ...['served_by', 'served_model', 'error', 'result'],
        'artifacts',
      ])
      expect(new Date(body.timestamp).toISOString()).toBe(body.timestamp)
      expect(headers.get('content-type')).toBe('application/json')
      expect(headers.get('webhook-id')).toBe(`${id}_${body.sequence}`)
      // Without a secret there is nothing to sign with.
      expect(headers.get('webhook-signature')).toBeNull()
    }
    expect(told.slice(0, 3).map(({ body }) => [body.error, body.result, body.artifacts])).toEqual(
      Array.from({ length: 3 }, () => [null, null, null]),
    )
    const job = await jobs.show(id)
    expect(told[3]?.body.result).toEqual(job.result as Record<string, unknown>)
    expect(told[3]?.body.artifacts).toEqual(job.artifacts as never)
  })

  test('a job that fails says why, and how often it was tried', async () => {
    const receiver = receiverOf()
    const { jobs } = await startRig({ FOREMAN_MAX_ATTEMPTS: '2' })
    const id = await jobs.submit(hooked(receiver, '[[crash=1]]'))
    const told = await receiver.told(id)
    expect(statesOf(told)).toEqual(['queued', 'loading', 'working', 'queued', 'loading', 'working', 'failed'])
    expect(told.at(-1)?.body).toMatchObject({
      attempt: 2,
      result: null,
      artifacts: [],
      error: { code: 'runner_failed' },
    })
  })

  test('a job that is cancelled while it waits, loads or works says so', async () => {
    const receiver = receiverOf()
    const { jobs, simulator } = await startRig({}, 300)
    const working = await jobs.submit(hooked(receiver, '[[silent=60000]]'))
    await jobs.reaches(working, 'working')
    const waiting = await jobs.submit(hooked(receiver))
    expect((await jobs.call('DELETE', `/jobs/${waiting}`)).status).toBe(200)
    expect(statesOf(await receiver.told(waiting))).toEqual(['queued', 'cancelled'])
    expect((await jobs.call('DELETE', `/jobs/${working}`)).status).toBe(200)
    expect(statesOf(await receiver.told(working))).toEqual(['queued', 'loading', 'working', 'cancelled'])
    await simulator.waitFor(({ open }) => open === 0)
    const loading = await jobs.submit({ ...hooked(receiver), options: { num_ctx: 2048 } })
    await jobs.reaches(loading, 'loading')
    expect((await jobs.call('DELETE', `/jobs/${loading}`)).status).toBe(200)
    expect(statesOf(await receiver.told(loading))).toEqual(['queued', 'loading', 'cancelled'])
    expect((await jobs.call('DELETE', `/jobs/${loading}`)).status).toBe(409)
  })
})

describe('state_webhook_events', () => {
  test('a receiver that is slow hears of the end soon when it asks for the end alone', async () => {
    // Each call takes as long as three jobs.
    const receiver = receiverOf(async () => {
      await Bun.sleep(SLOW_MS)
      return 204
    })
    const { jobs } = await startRig()
    const final = { ...hooked(receiver), state_webhook_events: 'final' }
    const ids = await Promise.all(Array.from({ length: 3 }, () => jobs.submit(final)))
    for (const id of ids) {
      const told = await receiver.told(id)
      expect(told.map(({ body }) => [body.state, body.previous_state, body.sequence])).toEqual([['done', 'working', 4]])
      expect(told[0]?.headers.get('webhook-id')).toBe(`${id}_4`)
    }
    expect(receiver.receipts.length).toBe(3)
    expect((await jobs.show(ids[0] ?? '')).webhook).toMatchObject({ events: ['done', 'failed', 'cancelled'] })
  })

  test('what went wrong stands in the job', async () => {
    const receiver = receiverOf(() => 500)
    const { jobs } = await startRig()
    const id = await jobs.submit(hooked(receiver))
    await jobs.finished(id)
    const webhook = await eventually(5_000, 'a try has failed', async () => {
      const { webhook } = await jobs.show(id)
      return (webhook as { tries: number } | null)?.tries === 0 ? null : (webhook as Record<string, unknown>)
    })
    expect(webhook).toMatchObject({ url: receiver.url, next_sequence: 1, last_problem: 'it answered 500', given_up: 0 })
    expect(Date.parse(String(webhook['next_try_at']))).toBeGreaterThan(Date.now() - 5_000)
  })
})

describe('signatures', () => {
  test('both hold for both secrets of a rotation, and a changed body does not', async () => {
    const secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_bmV3IHNlY3JldCBvZiB0aGUgc2FtZSBzaXpl'] as const
    const receiver = receiverOf()
    const { jobs } = await startRig({ FOREMAN_WEBHOOK_SECRET: secrets.join(',') })
    const told = await receiver.told(await jobs.submit(hooked(receiver, 'sign ✓ [[n=2]]')))
    for (const { text, headers } of told) {
      for (const secret of secrets) {
        const verifier = new Webhook(secret)
        expect(() => verifier.verify(text, Object.fromEntries(headers))).not.toThrow()
        expect(() =>
          verifier.verify(text.replace('queued', 'queueD').concat(' '), Object.fromEntries(headers)),
        ).toThrow()
      }
      const key = Buffer.from(secrets[0].slice('whsec_'.length), 'base64')
      const own = createHmac('sha256', key).update(text).digest('hex')
      expect(headers.get('x-foreman-signature')).toBe(`sha256=${own}`)
    }
  })
})

describe('receivers that do not take it at once', () => {
  test('a failing one is tried again with the same id and body, and its job keeps the order', async () => {
    const failures = new Map<string, number>()
    // Each is refused once; a redirect is a refusal too.
    const receiver = receiverOf(({ headers }) => {
      const id = headers.get('webhook-id') ?? ''
      failures.set(id, (failures.get(id) ?? 0) + 1)
      return failures.get(id) === 1 ? (failures.size % 2 === 0 ? 503 : 307) : 200
    })
    const { jobs, foreman } = await startRig()
    const id = await jobs.submit(hooked(receiver))
    await jobs.finished(id)
    expect(statesOf(await receiver.told(id))).toEqual(['queued', 'loading', 'working', 'done'])
    const tries = receiver.receipts.map(({ body }) => body.sequence)
    expect(tries).toEqual([1, 1, 2, 2, 3, 3, 4, 4])
    for (let i = 0; i < tries.length; i += 2) {
      const [first, second] = receiver.receipts.slice(i, i + 2)
      expect(second?.text).toBe(first?.text ?? '')
      expect(second?.headers.get('webhook-id')).toBe(first?.headers.get('webhook-id') ?? '')
    }
    expect(await foreman.logged('webhook_retried')).toMatchObject({ job_id: id, tries: 1 })
    // The receiver knows a moment before foreman does.
    await eventually(5_000, 'nothing owed, all counted', async () => {
      const metrics = await (await fetch(`${foreman.url}/metrics`)).text()
      const isCounted = ['accepted', 'retried'].every((result) =>
        metrics.includes(`foreman_webhooks_total{result="${result}"} 4\n`),
      )
      return isCounted && metrics.includes('foreman_webhooks_owed 0\n') ? true : null
    })
  }, 20_000)

  test('410 gives each of them up; the job is done all the same', async () => {
    const receiver = receiverOf(() => 410)
    const { jobs, foreman } = await startRig()
    const id = await jobs.submit(hooked(receiver))
    expect(await jobs.finished(id)).toMatchObject({ state: 'done', error: null })
    await receiver.until('four tries', (receipts) => receipts.length === 4)
    expect(statesOf(receiver.receipts)).toEqual(['queued', 'loading', 'working', 'done'])
    expect(await foreman.logged('webhook_given_up')).toMatchObject({ job_id: id, level: 'warn' })
  })
})

describe('where webhooks may go', () => {
  const refusedAt = async ({ jobs }: Rig, url: string) => {
    const answer = await jobs.call('POST', '/jobs', { body: JSON.stringify(chat('hi', { state_webhook_url: url })) })
    return { status: answer.status, code: answer.json['code'], detail: String(answer.json['detail']) }
  }

  test('foreman itself, the target and metadata services are refused at submit, and so is what is no URL', async () => {
    const rig = await startRig()
    const { port } = new URL(rig.simulator.url)
    for (const [url, detail] of [
      [`http://127.0.0.1:${rig.foreman.port}/jobs`, 'foreman itself'],
      [`http://localhost:${rig.foreman.port}/jobs`, 'foreman itself'],
      [`http://[::ffff:127.0.0.1]:${rig.foreman.port}/`, 'foreman itself'],
      [`http://127.0.0.1:${port}/api/delete`, 'the target'],
      ['http://169.254.169.254/latest/meta-data', 'link-local'],
      ['http://0.0.0.0:9000/', 'unspecified'],
      ['ftp://127.0.0.1/', 'neither http nor https'],
      ['/relative', 'not an absolute URL'],
    ] as const) {
      const refused = await refusedAt(rig, url)
      expect({ ...refused, url }).toMatchObject({ status: 422, code: 'webhook-refused', url })
      expect(refused.detail).toContain(detail)
    }
  })

  test('under public a receiver at home is refused, under any nothing is', async () => {
    const receiver = receiverOf()
    expect(await refusedAt(await startRig({ FOREMAN_WEBHOOK_POLICY: 'public' }), receiver.url)).toMatchObject({
      status: 422,
      code: 'webhook-refused',
    })
    const any = await startRig({ FOREMAN_WEBHOOK_POLICY: 'any' })
    const own = `http://127.0.0.1:${any.foreman.port}/livez`
    expect((await refusedAt(any, own)).status).toBe(202)
  })
})
