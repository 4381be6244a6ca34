/** Certificates are trusted as the machine trusts them: a private CA in its store is enough for the executable, as it is for curl. */
import { expect, test } from 'bun:test'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCertificate } from '../ollama/certificate.ts'
import { binaryPath } from '../support/binary.ts'
import { closedPort } from '../support/command-io.ts'
import { createLeftovers } from '../support/leftovers.ts'
import { eventually } from '../support/patience.ts'

const { directory, later } = createLeftovers()

// Where Debian, Alpine and their children keep it. It is covered in a mount namespace of the child: the machine's own stays as it is.
const STORE = '/etc/ssl/certs/ca-certificates.crt'
const canCover = existsSync(STORE) && Bun.spawnSync(['unshare', '-rm', 'true']).exitCode === 0

const isReachable = async (store: string, target: string): Promise<boolean> => {
  const port = await closedPort()
  const cover = `mount --bind "$0" ${STORE} && exec "$@"`
  const child = Bun.spawn(['unshare', '-rm', 'sh', '-c', cover, store, await binaryPath(), 'serve'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      FOREMAN_ADDR: `127.0.0.1:${port}`,
      FOREMAN_OLLAMA_URL: target,
      FOREMAN_DATA_DIR: directory(),
    },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  })
  later(() => {
    child.kill('SIGKILL')
    return child.exited
  })
  return await eventually(10_000, 'the first poll', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { keepalive: false }).catch(() => null)
    const health = (await answer?.json()) as {
      last_poll: string | null
      target: { reachable: boolean }
      degraded: boolean
    }
    if (answer === null || (health.last_poll === null && !health.degraded)) return null
    return health.target.reachable
  })
}

test.skipIf(!canCover)(
  'a target whose certificate only the store of the machine vouches for is reached',
  async () => {
    const { cert, key } = createCertificate('localhost')
    const target = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      tls: { cert, key },
      fetch: ({ url }) => Response.json(url.endsWith('/api/version') ? { version: '0.33.3' } : { models: [] }),
    })
    later(() => target.stop(true))
    const url = `https://localhost:${target.port}`
    const plain = join(directory(), 'plain.crt')
    writeFileSync(plain, readFileSync(STORE))
    const extended = join(directory(), 'extended.crt')
    writeFileSync(extended, `${readFileSync(STORE, 'utf8')}\n${cert}`)
    expect([await isReachable(plain, url), await isReachable(extended, url)]).toEqual([false, true])
  },
  60_000,
)
