/** Random requests and answers for the passthrough test, with what must be the same on both sides of foreman. */
import type { Dice } from './chance.ts'
import { cutAtRandom, type Pieces } from './verbatim-target.ts'

type Headers = readonly (readonly [string, string])[]

/** One exchange: what the client sends, what the target answers. */
export interface RandomExchange {
  readonly kind: 'queued stream' | 'queued whole' | 'bypass' | 'control'
  readonly request: Uint8Array
  readonly target: string
  readonly requestHeaders: Headers
  readonly requestBody: Buffer
  readonly status: number
  /** End-to-end headers of the answer. */
  readonly answerHeaders: Headers
  readonly answerBody: Buffer
  readonly pieces: Pieces
  readonly close: boolean
}

const LETTERS = [
  'a',
  'Z',
  ' ',
  '"',
  '\\',
  '\t',
  'é',
  'ß',
  '漢',
  '字',
  '😀',
  '👩‍👩‍👧',
  '\u2028',
  '\u0000',
  '\u007f',
  '\ud83d',
]

const words = (dice: Dice, most: number): string =>
  Array.from({ length: dice.between(0, most) }, () => dice.pick(LETTERS)).join('')

// Written by hand, so that what JSON.stringify would tidy up is in it too.
const oddMembers = [
  '"unknown": {"deep":[1,2,{"x":null}]}',
  '"number":1e400',
  '"big":12345678901234567890.000000000000000000001',
  '"dup":1,"dup":2',
  '"escaped":"\\u00e9\\ud83d\\ude00\\/"',
  '\n\t"spaced" :  [ ] ',
  '"logprobs":true',
  '"stream_options":{"include_usage":true}',
  '"think":"low"',
] as const

const jsonBody = (dice: Dice, members: readonly string[]): Buffer => {
  const odd = Array.from({ length: dice.between(0, 4) }, () => dice.pick(oddMembers))
  const all = [...members, ...odd, `"text":${JSON.stringify(words(dice, 20))}`].sort(() => dice.random() - 0.5)
  const spaces = dice.pick(['', ' ', '\r\n  '])
  return Buffer.from(`${spaces}{${spaces}${all.join(`,${spaces}`)}${spaces}}${dice.pick(['', '\n', ' trailing'])}`)
}

const ndjson = (dice: Dice): Buffer => {
  const lines = Array.from({ length: dice.between(1, 12) }, () => {
    const content = words(dice, 30)
    return `{"model":"tiny","message":{"role":"assistant","content":${JSON.stringify(content)}},"done":false}\n`
  })
  return Buffer.from(`${lines.join('')}{"model":"tiny","done":true,"done_reason":"stop","eval_count":3}\n`)
}

const events = (dice: Dice): Buffer => {
  const chunks = Array.from(
    { length: dice.between(1, 8) },
    () => `data: {"model":"tiny","choices":[{"delta":{"content":${JSON.stringify(words(dice, 30))}}}]}\n\n`,
  )
  return Buffer.from(`${chunks.join('')}data: [DONE]\n\n`)
}

const bytes = (dice: Dice): Buffer =>
  Buffer.from(Array.from({ length: dice.between(0, 600) }, () => dice.between(0, 255)))

const chunked = (body: Buffer, dice: Dice): Buffer => {
  const pieces = cutAtRandom(body, dice, 8).map((piece) => {
    const size = dice.chance(0.2) ? piece.length.toString(16).toUpperCase() : piece.length.toString(16)
    return Buffer.concat([Buffer.from(`${size}\r\n`), piece, Buffer.from('\r\n')])
  })
  return Buffer.concat([...pieces, Buffer.from('0\r\n\r\n')])
}

const endToEnd: Headers = [
  ['Date', 'Thu, 01 Jan 2026 00:00:00 GMT'],
  ['Vary', 'Origin'],
  ['Access-Control-Allow-Origin', 'http://localhost:3000'],
  ['Cache-Control', 'no-cache'],
  ['X-Request-Id', 'r-1'],
  ['ETag', '"abc"'],
  ['Server', 'something/1.0'],
  ['Content-Language', 'de'],
  ['Set-Cookie', 'a=1; Path=/'],
  ['X-Empty', ''],
  ['X-Spaces', 'a  b	c'],
  ['X-Latin', 'caf\xe9'],
]

const hopByHop: Headers = [
  ['Connection', 'keep-alive, X-Hop'],
  ['X-Hop', 'for this connection only'],
  ['Keep-Alive', 'timeout=5'],
  ['Proxy-Authenticate', 'Basic'],
  ['Proxy-Connection', 'keep-alive'],
  ['Trailer', 'X-Sum'],
  ['Upgrade', 'h2c'],
]

const some = (headers: Headers, dice: Dice, probability: number) => headers.filter(() => dice.chance(probability))
const lines = (headers: Headers) => headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')

interface Plan {
  readonly method: string
  readonly target: string
  readonly body: Buffer | null
  readonly status: number
  readonly contentType: string
  readonly answer: Buffer
}

const queries = ['', '', '?', '?ts=1', '?a=b&a=c%20d&%C3%A9=+', '?q=é'] as const

const planQueuedStream = (dice: Dice): Plan => {
  const isChat = dice.chance(0.5)
  const members = ['"model":"tiny"', '"messages":[{"role":"user","content":"x"}]', ...(isChat ? [] : ['"stream":true'])]
  return {
    method: 'POST',
    target: isChat ? '/api/chat' : '/v1/chat/completions',
    body: jsonBody(dice, members),
    status: 200,
    contentType: isChat ? 'application/x-ndjson' : 'text/event-stream',
    answer: isChat ? ndjson(dice) : events(dice),
  }
}

const planQueuedWhole = (dice: Dice): Plan => {
  const isGood = dice.chance(0.8)
  const text = JSON.stringify(words(dice, 100))
  const target = dice.pick(['/api/generate', '/v1/completions', '/v1/messages', '/v1/responses'])
  // Without these Ollama would refuse it at once, and so it would not queue (ADR 0019).
  const needed = target === '/v1/messages' ? ['"max_tokens":9', '"messages":[{"role":"user","content":"x"}]'] : []
  return {
    method: 'POST',
    target,
    body: jsonBody(dice, ['"model":"tiny"', '"prompt":"x"', '"stream":false', ...needed]),
    status: isGood ? 200 : dice.pick([400, 404, 403, 422]),
    contentType: 'application/json; charset=utf-8',
    answer: Buffer.from(isGood ? `{"response":${text},"done":true}` : `{"error":${text}}`),
  }
}

const planBypass = (dice: Dice): Plan => ({
  method: 'POST',
  target: dice.pick(['/api/embed', '/api/embeddings', '/v1/embeddings']),
  body: jsonBody(dice, ['"model":"embed"', '"input":["x"]']),
  status: dice.pick([200, 200, 400, 404, 500, 503]),
  contentType: 'application/json',
  answer: bytes(dice),
})

const planControl = (dice: Dice): Plan => {
  const method = dice.pick(['GET', 'POST', 'DELETE'])
  const targets = {
    GET: ['/api/tags', '/api/ps', '/api/version', '/v1/models', '/v1/models/tiny', '/api/new/thing', '/v1/new%20thing'],
    POST: ['/api/show', '/api/copy', '/api/create', '/api/new', '/api/blobs/sha256:00', '/api/me'],
    DELETE: ['/api/delete', '/api/user/keys/abc%20d'],
  } as const
  return {
    method,
    target: dice.pick(targets[method as keyof typeof targets]),
    body: method === 'GET' ? null : dice.chance(0.5) ? bytes(dice) : jsonBody(dice, ['"name":"tiny"']),
    status: dice.pick([200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 409, 418, 429, 500, 502, 599]),
    contentType: dice.pick(['application/json', 'text/plain; charset=utf-8', 'application/x-ndjson', 'image/png']),
    answer: bytes(dice),
  }
}

const planners = {
  'queued stream': planQueuedStream,
  'queued whole': planQueuedWhole,
  bypass: planBypass,
  control: planControl,
} as const

const framed = (dice: Dice, body: Buffer): { header: string; body: Buffer; close: boolean } => {
  const how = dice.pick(['length', 'chunked', 'chunked', 'close'])
  if (how === 'length') return { header: `Content-Length: ${body.length}\r\n`, body, close: false }
  if (how === 'close') return { header: '', body, close: true }
  return { header: 'Transfer-Encoding: chunked\r\n', body: chunked(body, dice), close: false }
}

const requestBytes = (dice: Dice, name: string, { method, target, body }: Plan, headers: Headers): Buffer => {
  const head = `${method} ${target} HTTP/1.1\r\nHost: foreman.local:8080\r\nX-Case: ${name}\r\n${lines(headers)}`
  if (body === null) return Buffer.from(`${head}\r\n`)
  if (dice.chance(0.5))
    return Buffer.concat([Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`), chunked(body, dice)])
  return Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body])
}

const requestHeaders = (dice: Dice): Headers => [
  ['User-Agent', 'ollama/0.33.0 (amd64 linux) Go/go1.26'],
  ['Accept', 'application/x-ndjson'],
  ...some(
    [
      ['Accept-Encoding', 'gzip'],
      ['X-Stainless-Lang', 'js'],
      ['Content-Type', dice.pick(['application/json', 'application/x-www-form-urlencoded', 'text/plain'])],
      ['Cookie', 'a=1; b=2'],
      ['X-Odd', 'a  b'],
    ],
    dice,
    0.5,
  ),
]

/** The exchange called `name`. */
export const randomExchange = (dice: Dice, name: string, kind: RandomExchange['kind']): RandomExchange => {
  const plan = planners[kind](dice)
  const query = dice.pick(queries)
  const target = plan.target + query.replace('é', '%C3%A9')
  const asked = { ...plan, target }
  const headers = requestHeaders(dice)
  const isBodiless = plan.status === 204 || plan.status === 304
  const answerHeaders: Headers = [
    ...(isBodiless ? [] : [['Content-Type', plan.contentType] as const]),
    ...some(endToEnd, dice, 0.4),
  ]
  const answer = isBodiless ? { header: '', body: Buffer.alloc(0), close: false } : framed(dice, plan.answer)
  const all = [...answerHeaders, ...some(hopByHop, dice, 0.3)].sort(() => dice.random() - 0.5)
  // A header that Connection names is only hop-by-hop when it does.
  const named = all.some(([key]) => key === 'Connection') ? all : all.filter(([key]) => key !== 'X-Hop')
  const head = `HTTP/1.1 ${plan.status} Whatever\r\n${lines(named)}${answer.header}\r\n`
  return {
    kind,
    request: requestBytes(dice, name, asked, headers),
    target,
    requestHeaders: headers,
    requestBody: plan.body ?? Buffer.alloc(0),
    status: plan.status,
    answerHeaders: named.filter(([key]) => answerHeaders.some(([other]) => other === key)),
    answerBody: isBodiless ? Buffer.alloc(0) : plan.answer,
    pieces: cutAtRandom(Buffer.concat([Buffer.from(head, 'latin1'), answer.body]), dice, 12),
    close: answer.close,
  }
}
