/** Runs the receiver and the shell script that the webhook guide offers against real deliveries. */
import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signatureHeaders } from '../../src/webhook/signature.ts'
import { createDeliveryRig } from './delivery-rig.ts'

const examples = join(import.meta.dir, '../../docs/examples')
const secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'a secret that is plain text'] as const
const body = Buffer.from('{"job_id":"01J","sequence":1,"previous_state":null,"state":"queued","model":"qwen3:14b ✓"}')

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
})

interface ChunkReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>
}

/** Reads until the text has what is wanted. */
const readUntil = async (reader: ChunkReader, wanted: RegExp): Promise<string> => {
  let text = ''
  while (!wanted.test(text)) {
    const { done, value } = await reader.read()
    if (done || value === undefined) throw new Error(`the receiver ended with: ${text}`)
    text += Buffer.from(value).toString()
  }
  return text
}

describe('the receiver in TypeScript', () => {
  test.each(secrets)('takes what was signed with %p once, and nothing that was signed otherwise', async (secret) => {
    const child = Bun.spawn([process.execPath, join(examples, 'webhook-receiver.ts')], {
      env: { ...process.env, FOREMAN_WEBHOOK_SECRET: secret, PORT: '0' },
      stdout: 'pipe',
    })
    cleanUps.push(() => {
      child.kill()
      return child.exited
    })
    const reader = child.stdout.getReader()
    const port = /:(\d+)\//.exec(await readUntil(reader, /listening.*\n/))?.[1]
    const url = `http://127.0.0.1:${port}/hook`
    const deliver = async (signing: readonly string[], sequence: number) =>
      createDeliveryRig({ secrets: signing }).post(url, {
        id: `01J_${sequence}`,
        body: Buffer.from(JSON.stringify({ job_id: '01J', sequence, previous_state: 'queued', state: 'loading' })),
      })
    expect(await deliver([secret], 1)).toEqual({ kind: 'accepted', status: 204 })
    expect(await deliver([secret], 1)).toEqual({ kind: 'accepted', status: 204 })
    expect(await deliver(['the other secret in rotation', secret], 2)).toEqual({ kind: 'accepted', status: 204 })
    expect(await deliver(['the wrong secret altogether'], 3)).toMatchObject({ reason: 'it answered 401' })
    expect(await deliver([], 3)).toMatchObject({ reason: 'it answered 401' })
    expect(await deliver([secret], 4)).toMatchObject({ kind: 'accepted' })
    expect(await readUntil(reader, / 4: /)).toBe([1, 2, 4].map((n) => `01J ${n}: queued -> loading\n`).join(''))
  })
})

describe.skipIf(Bun.which('openssl') === null)('the check in shell', () => {
  const check = async (secret: string, signing: readonly string[], sent: Uint8Array, timestampS: number) => {
    const folder = await mkdtemp(join(tmpdir(), 'foreman-webhook-'))
    cleanUps.push(() => rm(folder, { recursive: true }))
    const file = join(folder, 'body.json')
    await Bun.write(file, sent)
    const headers = Object.fromEntries(signatureHeaders({ id: '01J_1', timestampS, body, secrets: signing }))
    const of = (name: string) => headers[name] ?? ''
    const child = Bun.spawn(
      [
        'sh',
        join(examples, 'webhook-verify.sh'),
        file,
        of('webhook-id'),
        of('webhook-timestamp'),
        of('webhook-signature'),
      ],
      { env: { ...process.env, FOREMAN_WEBHOOK_SECRET: secret }, stdout: 'pipe', stderr: 'pipe' },
    )
    const said = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text())
    return [await child.exited, said.trim()]
  }

  test.each(secrets)('takes what was signed with %p, and nothing else', async (secret) => {
    const now = Math.floor(Date.now() / 1_000)
    expect(await check(secret, [secret], body, now)).toEqual([0, 'genuine'])
    expect(await check(secret, ['the other secret in rotation', secret], body, now)).toEqual([0, 'genuine'])
    expect(await check(secret, ['the wrong secret altogether'], body, now)).toEqual([1, 'bad signature'])
    expect(await check(secret, [secret], Buffer.concat([body, Buffer.from(' ')]), now)).toEqual([1, 'bad signature'])
    expect(await check(secret, [], body, now)).toEqual([1, 'bad signature'])
    expect((await check(secret, [secret], body, now - 400))[0]).toBe(1)
  })

  test('the one line for X-Foreman-Signature gives its hex', async () => {
    const [, secret] = secrets
    const headers = Object.fromEntries(signatureHeaders({ id: '01J_1', timestampS: 1, body, secrets: [secret] }))
    const child = Bun.spawn(['openssl', 'dgst', '-sha256', '-hmac', secret, '-hex'], { stdin: body, stdout: 'pipe' })
    const printed = (await new Response(child.stdout).text()).trim().split(' ').at(-1)
    expect(headers['X-Foreman-Signature']).toBe(`sha256=${printed}`)
  })
})
