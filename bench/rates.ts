/** The calls whose rate and wait are compared: by how many clients, beside whom, and what is asked of foreman. */
import { join } from 'node:path'
import { temporaryDirectory } from '../test/support/binary.ts'
import { calls, heldChat, post } from './calls.ts'
import { during, type Keep, type Listening, startForeman, startServer } from './children.ts'
import { startPeer } from './peers.ts'
import type { Section } from './row.ts'
import { added, p99, rate, type Sides, type Turns, turnRows, wait } from './turns.ts'

const BARE = 'bare proxy'
const QUEUELESS = [BARE, 'foreman', 'nginx', 'haproxy']

const small: readonly Turns[] = [
  {
    name: 'queued JSON, 1 client',
    call: calls.chat,
    clients: 1,
    sides: ['direct', ...QUEUELESS],
    asked: [added(0.3), p99(6)],
  },
  { name: 'queued JSON, 16 clients', call: calls.chat, clients: 16, sides: QUEUELESS, asked: [rate(BARE, 0.28)] },
  { name: 'queued JSON, 64 clients', call: calls.chat, clients: 64, sides: [BARE, 'foreman'], asked: [] },
  {
    name: 'queued NDJSON, 16 clients',
    call: calls.streamedNow,
    clients: 16,
    sides: QUEUELESS,
    asked: [rate(BARE, 0.24)],
  },
  { name: 'bypass, 1 client', call: calls.embed, clients: 1, sides: ['direct', BARE, 'foreman'], asked: [] },
  { name: 'bypass, 16 clients', call: calls.embed, clients: 16, sides: [BARE, 'foreman'], asked: [rate(BARE, 0.85)] },
  { name: 'bypass, 64 clients', call: calls.embed, clients: 64, sides: [BARE, 'foreman'], asked: [rate(BARE, 0.85)] },
]

const large: readonly Turns[] = [
  {
    name: 'queued stream of 2,000 chunks without a gap',
    call: calls.streamedChat,
    clients: 1,
    sides: [BARE, 'foreman'],
    asked: [rate(BARE, 0.95)],
  },
  {
    name: 'queued answer of 20 MB',
    call: calls.chat,
    clients: 1,
    sides: [BARE, 'foreman'],
    asked: [wait(BARE, 1.3)],
  },
]

const GROUP_COMMIT = 'group commit alone'
const submits: readonly Turns[] = [
  {
    name: 'POST /jobs, 2 KB, 1 client',
    call: calls.job,
    clients: 1,
    sides: [GROUP_COMMIT, 'foreman'],
    asked: [wait(GROUP_COMMIT, 1.2)],
  },
  {
    name: 'POST /jobs, 2 KB, 64 clients',
    call: calls.job,
    clients: 64,
    sides: [GROUP_COMMIT, 'foreman'],
    asked: [rate(GROUP_COMMIT, 0.75)],
  },
]

const startProxies = async (keep: Keep, target: Listening): Promise<Sides> => ({
  direct: target,
  [BARE]: keep(await startServer('bare-proxy.ts', `http://127.0.0.1:${target.port}`)),
  foreman: keep(await startForeman(target.port)),
  nginx: keep(await startPeer('nginx', target.port)),
  haproxy: keep(await startPeer('haproxy', target.port)),
})

// Longer than the rows take; the target answers it to nobody.
const HOLD_MS = 3_600_000

/** A foreman whose slot is taken by a chat that does not end, so that only submits run. */
const startSubmits = async (keep: Keep): Promise<Sides> => {
  const directory = temporaryDirectory()
  keep({ stop: async () => directory.remove() })
  const target = keep(await startServer('target.ts'))
  const alone = keep(await startServer('bare-submit.ts', join(directory.path, 'bare.db')))
  const foreman = keep(await startForeman(target.port, { FOREMAN_MAX_QUEUE: '10000000' }))
  const held = new AbortController()
  const hold = post(heldChat(HOLD_MS), foreman.port, held.signal).catch(() => null)
  keep({
    async stop() {
      held.abort()
      await hold
    },
  })
  return { [GROUP_COMMIT]: alone, foreman }
}

const sectionsOf = (all: readonly Turns[], start: (keep: Keep) => Promise<Sides>): readonly Section[] =>
  all.map((turns) => ({
    name: turns.name,
    rows: (amounts) => during(async (keep) => turnRows(turns, await start(keep), amounts)),
  }))

/** Each section starts what it compares, so that no row depends on another. */
export const rateSections: readonly Section[] = [
  ...sectionsOf(small, async (keep) => startProxies(keep, keep(await startServer('target.ts')))),
  ...sectionsOf(large, async (keep) => startProxies(keep, keep(await startServer('large-target.ts')))),
  ...sectionsOf(submits, startSubmits),
]
