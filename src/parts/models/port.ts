/** The way to the target's models and to files of this machine; it must never hold a whole model in memory. */
import { stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import type { Asked, ModelsPort } from '../../domain/models/ensure.ts'
import { createLineReader } from '../../domain/wire/lines.ts'
import type { PartTarget } from '../../engine/part.ts'
import { pause } from '../../loop/pause.ts'
import type { ModelsPorts } from './ports.ts'

const JSON_TYPE = [['Content-Type', 'application/json']] as const
// A first inference may load from a slow disk.
const ASK_MS = 600_000

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => null))?.isFile() ?? false

/** Posts and reads the answer's lines to their end, however long that takes. */
const follow =
  ({ send }: PartTarget, signal: AbortSignal): ModelsPort['follow'] =>
  async (path, body, line) => {
    const bytes = new TextEncoder().encode(JSON.stringify(body))
    const reply = await send({ method: 'POST', path, headers: JSON_TYPE, body: bytes }, { reuse: false, signal })
    if (reply.kind === 'aborted') return { kind: 'failed', message: 'foreman stops' }
    if (reply.kind !== 'answered') return { kind: 'failed', message: reply.message }
    const reader = createLineReader(line)
    for (;;) {
      const read = await reply.body.read()
      if (read.kind === 'chunk') reader.push(read.bytes)
      else {
        reader.flush()
        if (read.kind === 'end') return { kind: 'answered', status: reply.status, json: null }
        return { kind: 'failed', message: read.kind === 'broken' ? read.message : 'foreman stops' }
      }
    }
  }

/** One file to the target. */
const upload =
  ({ send }: PartTarget, signal: AbortSignal): ModelsPort['upload'] =>
  async (path, beside, digest) => {
    const to = { path: `/api/blobs/${digest}`, headers: [] }
    const known = await send({ ...to, method: 'HEAD', body: null }, { reuse: false, signal })
    if (known.kind === 'answered') known.body.cancel()
    if (known.kind === 'answered' && known.status === 200) return null
    const file = Bun.file(resolve(dirname(beside), path))
    const request = { ...to, method: 'POST', body: file.stream(), bodyBytes: file.size }
    const reply = await send(request, { reuse: false, signal })
    if (reply.kind !== 'answered') return reply.kind === 'aborted' ? 'foreman stops' : reply.message
    reply.body.cancel()
    return reply.status < 300 ? null : `it answered ${reply.status}`
  }

/** `signal` ends whatever is under way. */
export const createModelsPort = ({ target, clock }: ModelsPorts, signal: AbortSignal): ModelsPort => ({
  async ask(_, path, body): Promise<Asked> {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const asked = await target.ask(path, { ...sent, signal, wholeTimeoutMs: ASK_MS })
    if (asked.kind === 'answered') return { kind: 'answered', status: 200, json: asked.json }
    const { reached, message } = asked
    return reached ? { kind: 'answered', status: 500, json: { error: message } } : { kind: 'failed', message }
  },
  follow: follow(target, signal),
  async readText(path) {
    return (await isFile(path)) ? Bun.file(path).text() : null
  },
  async digestOf(path, beside) {
    const file = resolve(dirname(beside), path)
    if (!(await isFile(file))) return null
    const hash = new Bun.CryptoHasher('sha256')
    for await (const bytes of Bun.file(file).stream()) {
      if (signal.aborted) return null
      hash.update(bytes)
    }
    return { name: basename(file), digest: `sha256:${hash.digest('hex')}` }
  },
  upload: upload(target, signal),
  pause: (ms) => pause(clock, ms, signal),
})
