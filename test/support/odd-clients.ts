/** Twenty clients that send whatever comes to their minds, in a process of their own: `PORT SEED COUNT`. It says nothing; its end is its answer. */
import { connect, type Socket } from 'node:net'
import { createDice, type Dice } from './chance.ts'
import { post } from './raw-client.ts'

const RAW_CLIENTS = 20
// An answer that has not come by then is given up: some of these requests are never answered, by right.
const PATIENCE_MS = 250
const [port = 0, seed = 0, count = 0] = process.argv.slice(2).map(Number)

const paths = [
  '/api/show',
  '/api/chat',
  '/jobs',
  '/v1/models',
  '/jobs/x/events',
  '/healthz',
  '/',
  '/api/x/..%2fy',
  '/%zz',
]
const head = (dice: Dice, method: string, lines: readonly string[] = []) =>
  [
    `${method} ${dice.pick(paths)} HTTP/1.1`,
    `Host: ${dice.pick(['localhost', 'evil.example', '', 'nas', '[::1]'])}`,
    ...lines,
    '',
    '',
  ].join('\r\n')
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`

/** One request of each odd kind; what it says need not be HTTP. */
const shapes: readonly ((dice: Dice) => string)[] = [
  (dice) => `${head(dice, 'POST', ['Content-Length: 2', 'Content-Length: 2'])}{}`,
  (dice) => `${head(dice, 'POST', ['Content-Length: 2, 2'])}{}`,
  (dice) => `${head(dice, 'POST', ['Content-Length: 002'])}{}`,
  (dice) => `${head(dice, 'POST', [`Content-Length: ${dice.between(1, 128) * 1024 ** 2}`])}{`,
  (dice) => `${head(dice, 'POST', [`Content-Length: ${dice.pick(['-1', '+2', '0x2', '9'.repeat(25), '2 2', ''])}`])}{}`,
  (dice) => head(dice, 'POST', ['Transfer-Encoding: chunked']) + chunked(dice.pick(['{}', '[', '{"model":"nope"}'])),
  (dice) => head(dice, 'POST', ['Transfer-Encoding: chunked']) + dice.pick(['zz\r\n', 'ffffffffff\r\nx', '2\r\n{}']),
  (dice) => `${head(dice, 'POST', ['Transfer-Encoding: chunked', 'Content-Length: 2'])}{}`,
  (dice) => head(dice, 'GET', ['Origin: https://evil.example']),
  (dice) => `${head(dice, 'OPTIONS', ['Origin: http://localhost:3000', 'Content-Length: 4'])}body`,
  (dice) => head(dice, dice.pick(['PATCH', 'TRACE', 'CONNECT', 'X', 'PRI', 'get'])),
  (dice) => head(dice, 'GET') + head(dice, 'GET'),
  (dice) => head(dice, 'GET', [`Cookie: ${'x'.repeat(dice.between(1, 80_000))}`]),
  (dice) =>
    head(
      dice,
      'GET',
      Array.from({ length: dice.between(1, 400) }, (_, i) => `X-${i}: y`),
    ),
  (dice) =>
    head(dice, 'GET', ['Range: bytes=0-0,5-', 'Expect: 100-continue', 'Upgrade: websocket', 'Connection: upgrade']),
  (dice) => `GET ${'/'.repeat(dice.between(1, 9_000))} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  (dice) => `GET /${'%2e%2e%2f'.repeat(dice.between(1, 500))} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  (dice) => String.fromCharCode(...Array.from({ length: dice.between(1, 300) }, () => dice.between(0, 255))),
  (dice) => head(dice, 'POST', ['Content-Length: 60000']) + '['.repeat(60_000),
  (dice) => post('/api/chat', `{"model":"${'x'.repeat(dice.between(1, 60_000))}"}`),
  (dice) => post('/jobs', `{"model":"tiny","prompt":${dice.pick(['null', '5', '"x', '[]'])}}`),
]

/** Sends, waits a moment for whatever comes, and leaves as it likes. */
const sendOdd = (dice: Dice, shape: (dice: Dice) => string): Promise<void> =>
  new Promise((resolve) => {
    const socket: Socket = connect({ port, host: '127.0.0.1' })
    const isRude = dice.chance(0.3)
    const timer = setTimeout(() => socket.destroy(), PATIENCE_MS)
    socket.on('data', () => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.write(Buffer.from(shape(dice), 'latin1'), () => isRude && socket.resetAndDestroy())
  })

// Once each, so that every kind is there whatever the dice say.
for (const [i, shape] of shapes.entries()) await sendOdd(createDice(seed + i), shape)
let left = count - shapes.length
const lane = async (_: unknown, number: number) => {
  const dice = createDice(seed + 1_000 + number)
  while (left-- > 0) {
    await sendOdd(dice, dice.pick(shapes))
    // About a thousand a second from all: what is measured is whether one hurts, not who has more processor.
    await Bun.sleep(dice.between(5, 30))
  }
}
await Promise.all(Array.from({ length: RAW_CLIENTS }, lane))
process.exit(0)
