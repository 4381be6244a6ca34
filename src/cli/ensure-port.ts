/** The way to models for `foreman ensure`: HTTP to foreman, files from this machine; it must never hold a whole model in memory. */
import type { Asked, ModelsPort } from '../domain/models/ensure.ts'
import { createLineReader } from '../domain/wire/lines.ts'
import type { Client } from './client.ts'
import type { Io } from './command.ts'
import { jsonOf } from './fields.ts'
import { pause } from './progress.ts'

// A first inference waits in the queue and loads; what takes longer is stopped by hand.
const ASK_MS = 1_800_000

const besides = (path: string, beside: string): string => {
  if (path.startsWith('/')) return path
  const folder = beside.includes('/') ? beside.slice(0, beside.lastIndexOf('/') + 1) : ''
  return `${folder}${path}`
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** `signal` ends whatever is under way. */
export const createEnsurePort = (io: Io, client: Client, signal: AbortSignal): ModelsPort => {
  const auth: Record<string, string> = client.token === null ? {} : { authorization: `Bearer ${client.token}` }
  const post = (path: string, body: string | Blob) =>
    io.fetch(`${client.url}${path}`, {
      method: 'POST',
      headers: auth,
      body,
      redirect: 'manual',
      keepalive: false,
      timeout: false,
      signal,
    })
  const failed = (error: unknown): Asked => ({
    kind: 'failed',
    message: error instanceof Error ? error.message : String(error),
  })
  return {
    async ask(method, path, body) {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) }
      const reply = await client.request(method, path, { ...sent, timeoutMs: ASK_MS, signal })
      return reply.kind === 'answered' ? reply : { kind: 'failed', message: reply.message }
    },
    async follow(path, body, line) {
      try {
        const response = await post(path, JSON.stringify(body))
        if (response.status !== 200 || response.body === null)
          return { kind: 'answered', status: response.status, json: jsonOf(await response.text()) }
        const reader = createLineReader(line)
        for await (const bytes of response.body) reader.push(bytes)
        reader.flush()
        return { kind: 'answered', status: 200, json: null }
      } catch (error) {
        return failed(error)
      }
    },
    async readText(path) {
      try {
        return new TextDecoder().decode(await io.readFile(path))
      } catch {
        return null
      }
    },
    async digestOf(path, beside) {
      const file = besides(path, beside)
      if ((await io.modifiedAtMs(file)) === null) return null
      const hash = new Bun.CryptoHasher('sha256')
      try {
        for await (const bytes of io.openFile(file).stream()) hash.update(bytes)
      } catch {
        // A directory.
        return null
      }
      return { name: nameOf(path), digest: `sha256:${hash.digest('hex')}` }
    },
    async upload(path, beside, digest) {
      const known = await client.request('HEAD', `/api/blobs/${digest}`, { signal })
      if (known.kind === 'answered' && known.status === 200) return null
      try {
        const response = await post(`/api/blobs/${digest}`, io.openFile(besides(path, beside)))
        return response.ok
          ? null
          : ((jsonOf(await response.text()) as { error?: string })?.error ?? `${response.status}`)
      } catch (error) {
        return failed(error).kind === 'failed' ? String(error) : null
      }
    },
    pause: (ms) => pause(io, ms, signal),
  }
}
