/** A foreman in a process of its own, so that its memory is its own too; it must never outlive its test. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './patience.ts'

export interface SpawnedForeman {
  readonly url: string
  readonly port: number
  /** Resident memory now. */
  rssBytes(): number
  /** The most that was ever resident. */
  peakBytes(): number
  kill(): Promise<void>
}

const freePort = (): number => {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
  const { port } = listener
  listener.stop(true)
  return port
}

/** Starts it in front of `targetUrl` and waits until it is ready. */
export const spawnForeman = async (targetUrl: string): Promise<SpawnedForeman> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'foreman-spawned-'))
  const port = freePort()
  const child = Bun.spawn([process.execPath, join(import.meta.dir, '../../src/main.ts'), 'serve'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      FOREMAN_ADDR: `127.0.0.1:${port}`,
      FOREMAN_OLLAMA_URL: targetUrl,
      FOREMAN_DATA_DIR: dataDir,
      FOREMAN_LOG_LEVEL: 'warn',
    },
    stdout: 'ignore',
    stderr: 'ignore',
  })
  const url = `http://127.0.0.1:${port}`
  const memory = (field: 'VmRSS' | 'VmHWM'): number => {
    const status = readFileSync(`/proc/${child.pid}/status`, 'latin1')
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
  }
  await eventually(20_000, 'foreman to listen', () =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => (ok ? true : null),
      () => null,
    ),
  )
  return {
    url,
    port,
    rssBytes: () => memory('VmRSS'),
    peakBytes: () => memory('VmHWM'),
    async kill() {
      child.kill('SIGKILL')
      await child.exited
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
