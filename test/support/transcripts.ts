/** Reads the recorded `### curl …` exchanges: what was sent and what came back; it must never guess at what was cut away. */
import { hostname } from 'node:os'
import { join } from 'node:path'

/** One exchange: the bytes to send and what was recorded of the answer, `rawBody` up to the next block. */
export interface Recorded {
  readonly file: string
  readonly command: string
  readonly request: Uint8Array
  readonly isHead: boolean
  readonly bodyShown: boolean
  readonly interim: string[]
  readonly status: string
  readonly headers: readonly string[]
  readonly rawBody: string
}

const FOLDER = join(import.meta.dir, '../fixtures/transcripts')
const BODY = '{"model":"tiny","stream":false,"messages":[{"role":"user","content":"[[n=1]]"}]}'

const namedBodies: Record<string, () => Uint8Array> = {
  '@b.json': () => Buffer.from(BODY),
  '@b.json.gz': () => Bun.gzipSync(BODY),
  '@b.json.zst': () => Bun.zstdCompressSync(BODY),
}

interface Arguments {
  url: string
  method: string
  minor: number
  headers: string[]
  form: string[]
  body: Uint8Array | null
  bodyShown: boolean
}

const OPTION = / (?=-(?:[XHdFoDI]|-http1\.0|-compressed|-data-binary)(?: |$))/

const parseArguments = (line: string): Arguments => {
  const parsed: Arguments = { url: '', method: '', minor: 1, headers: [], form: [], body: null, bodyShown: true }
  for (const part of ` ${line}`.split(OPTION)) {
    const space = part.trimStart().startsWith('-') ? part.indexOf(' ') : -1
    const option = space < 0 ? part : part.slice(0, space)
    let value = space < 0 ? '' : part.slice(space + 1)
    const url = / ?(http:\/\/127\.0\.0\.1:21434\S*)/.exec(option === '-d' || option === '-H' ? '' : part)
    if (url) {
      parsed.url = url[1]!
      value = value.replace(url[1]!, '').trim()
    }
    if (option === '-X') parsed.method = value
    else if (option === '-I') parsed.method = 'HEAD'
    else if (option === '--http1.0') parsed.minor = 0
    else if (option === '-H') parsed.headers.push(value === 'Host: vm' ? `Host: ${hostname()}` : value)
    else if (option === '-F') parsed.form.push(value)
    else if (option === '-d') parsed.body = Buffer.from(value)
    else if (option === '--data-binary') parsed.body = namedBodies[value]!()
    else if (option === '-o') parsed.bodyShown = false
  }
  return parsed
}

const multipart = (fields: readonly string[]): Buffer => {
  const parts = fields.map((field) => {
    const [name, value] = field.split('=', 2)
    if (!value!.startsWith('@')) return `--XX\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
    const file = `--XX\r\nContent-Disposition: form-data; name="${name}"; filename="hostname"\r\n`
    return `${file}Content-Type: application/octet-stream\r\n\r\nvm\n\r\n`
  })
  return Buffer.from(`${parts.join('')}--XX--\r\n`)
}

const buildRequest = (args: Arguments): Uint8Array => {
  const path = args.url.slice('http://127.0.0.1:21434'.length)
  const headers = [...args.headers]
  const has = (name: string) => headers.some((header) => header.toLowerCase().startsWith(`${name}:`))
  if (!has('host')) headers.unshift('Host: 127.0.0.1:21434')
  let body = args.form.length > 0 ? multipart(args.form) : args.body
  if (args.form.length > 0) headers.push('Content-Type: multipart/form-data; boundary=XX')
  else if (body && !has('content-type')) headers.push('Content-Type: application/x-www-form-urlencoded')
  if (body && has('transfer-encoding')) {
    const size = body.length.toString(16)
    body = Buffer.concat([Buffer.from(`${size}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
  } else if (body) headers.push(`Content-Length: ${body.length}`)
  const method = args.method || (body ? 'POST' : 'GET')
  const head = [`${method} ${path} HTTP/1.${args.minor}`, 'User-Agent: curl/8.14.1', 'Accept: */*', ...headers, '', '']
  return Buffer.concat([Buffer.from(head.join('\r\n')), body ?? Buffer.alloc(0)])
}

const readBlock = (file: string, block: string): Recorded => {
  const newline = block.indexOf('\n')
  const command = block.slice(0, newline)
  const args = parseArguments(command)
  let rest = block.slice(newline + 1)
  const interim: string[] = []
  const takeHead = () => {
    const end = rest.indexOf('\r\n\r\n')
    const lines = rest.slice(0, end).split('\r\n')
    rest = rest.slice(end + 4)
    return lines
  }
  let lines = takeHead()
  if (lines[0]!.includes(' 100 ')) {
    interim.push(...lines)
    lines = takeHead()
  }
  return {
    file,
    command,
    request: buildRequest(args),
    isHead: args.method === 'HEAD',
    bodyShown: args.bodyShown,
    interim,
    status: lines[0]!,
    headers: lines.slice(1),
    // Section titles of the recording script stand between blocks.
    rawBody: rest.replace(/\n*=== .*\n*$/, '\n'),
  }
}

/** Every recorded exchange of a file, in order. */
export const readTranscript = async (file: string): Promise<Recorded[]> => {
  const text = await Bun.file(join(FOLDER, file)).text()
  // One recording was cut in the middle of a line, so a block may begin there.
  const blocks = text.split('### curl ').slice(1)
  return blocks.map((block) => readBlock(file, block))
}

/** The files with exchanges; t7.txt is a log of another kind. */
export const transcriptFiles = ['native-ok.txt', 'native-err.txt', 'compat.txt', 'http-misc.txt'] as const
