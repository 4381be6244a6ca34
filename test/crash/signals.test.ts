/** What signals do to the executable: a stop always ends, and a hang-up ends no daemon. */
import { expect, test } from 'bun:test'
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { binaryPath, spawnForeman } from '../support/binary.ts'
import { closedPort } from '../support/command-io.ts'
import { createLeftovers } from '../support/leftovers.ts'
import { eventually } from '../support/patience.ts'

const { directory, kept, later } = createLeftovers()

/** A pipe that is full and that nobody reads. */
const fullPipe = (): number => {
  const path = join(directory(), 'pipe')
  Bun.spawnSync(['mkfifo', path])
  // Open for both, so that neither end ever waits for the other.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  later(() => closeSync(fd))
  const page = Buffer.alloc(4096, '.')
  try {
    for (;;) writeSync(fd, page)
  } catch {
    // The pipe takes no more.
    return openSync(path, constants.O_WRONLY)
  }
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s ends a foreman whose standard output is a full pipe',
  async (signal) => {
    const port = await closedPort()
    const pipe = fullPipe()
    const child = Bun.spawn([await binaryPath(), 'serve'], {
      env: {
        FOREMAN_ADDR: `127.0.0.1:${port}`,
        FOREMAN_OLLAMA_URL: 'http://127.0.0.1:9',
        FOREMAN_DATA_DIR: directory(),
        FOREMAN_LOG_LEVEL: 'debug',
      },
      stdin: 'ignore',
      stdout: pipe,
      stderr: pipe,
    })
    later(() => {
      child.kill('SIGKILL')
      closeSync(pipe)
      return child.exited
    })
    await eventually(10_000, 'foreman to listen', () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok || null,
        () => null,
      ),
    )
    const askedAt = performance.now()
    child.kill(signal)
    expect(await child.exited).toBe(0)
    expect(performance.now() - askedAt).toBeLessThan(10_000)
  },
  30_000,
)

test('SIGHUP is written to the log, and the daemon goes on', async () => {
  const daemon = kept(await spawnForeman('http://127.0.0.1:9', directory()))
  const url = await daemon.ready()
  for (const nth of [1, 2]) {
    process.kill(daemon.pid, 'SIGHUP')
    await daemon.logged('hangup_ignored', nth)
  }
  expect((await fetch(`${url}/readyz`, { keepalive: false })).status).toBe(200)
  daemon.kill('SIGTERM')
  expect(await daemon.exited).toBe(0)
})
