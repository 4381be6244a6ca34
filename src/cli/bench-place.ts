/** What `foreman bench` measures: which server, which model; it must never guess where a guess disturbs somebody. */
import { loadTargetToken } from '../config/config.ts'
import { isLoopback } from '../domain/address.ts'
import { readServerUrl } from '../domain/readers.ts'
import type { BenchTarget } from './bench-target.ts'
import { type Client, createClient, reportFailure, unexpected } from './client.ts'
import { exitCode, type Io } from './command.ts'
import { booleanOf, listOf, numberOf, textOf } from './fields.ts'

/** Which server is asked, and with which token. */
export interface Place {
  readonly url: string
  readonly token: string | null
  /** The foreman that stands before it; null when one was not asked. */
  readonly foreman: Client | null
}

type Found<T> = { readonly kind: 'ok'; readonly value: T } | { readonly kind: 'exit'; readonly code: number }

const exit = (io: Io, code: number, sentence: string): { kind: 'exit'; code: number } => {
  io.stderr.write(`foreman: ${sentence}\n`)
  return { kind: 'exit', code }
}

/** How much work foreman has; null when it does not say. */
export const workOf = async (client: Client): Promise<number | null> => {
  const reply = await client.request('GET', '/healthz')
  const waiting = reply.kind === 'answered' ? numberOf(reply.json, 'queue', 'queued') : undefined
  if (reply.kind === 'failed' || waiting === undefined) return null
  return waiting + (numberOf(reply.json, 'queue', 'working') ?? 0)
}

const hostOf = (url: string) => new URL(url).hostname.replace(/^\[|\]$/g, '')

/** The target that foreman names, as it can be dialled from here. */
const targetOf = async (io: Io, client: Client): Promise<Found<string>> => {
  const reply = await client.request('GET', '/healthz')
  if (reply.kind === 'failed') return { kind: 'exit', code: reportFailure(io, reply) }
  const url = textOf(reply.json, 'target', 'url')
  if (url === undefined) return exit(io, exitCode.unreachable, unexpected(client.url, '/healthz', reply.status))
  if (booleanOf(reply.json, 'target', 'reachable') === false)
    return exit(io, exitCode.no, `${url}, the target, cannot be reached just now`)
  if (isLoopback(hostOf(url)) && !isLoopback(hostOf(client.url)))
    return exit(
      io,
      exitCode.usage,
      `the target is ${url} as seen from ${hostOf(client.url)}: run this there, or name it with --direct`,
    )
  return { kind: 'ok', value: url }
}

/** Where to measure: what `--direct` says, foreman itself with `--through`, else the target that foreman names. */
export const findPlace = async (
  io: Io,
  { direct, through }: { direct: string | undefined; through: boolean },
): Promise<Found<Place>> => {
  const target = loadTargetToken(io.env)
  if (target.kind === 'invalid') return exit(io, exitCode.usage, target.problem)
  if (direct !== undefined) {
    const read = readServerUrl(11_434)(direct)
    if (read.kind === 'ok') return { kind: 'ok', value: { url: read.value, token: target.token, foreman: null } }
    return exit(io, exitCode.usage, `--direct is "${direct}": expected a URL such as http://gpu-box:11434 or gpu-box`)
  }
  const created = createClient(io)
  if (created.kind === 'exit') return created
  const { client } = created
  const found = await targetOf(io, client)
  if (found.kind === 'exit') return found
  if (through) return { kind: 'ok', value: { url: client.url, token: client.token, foreman: client } }
  return { kind: 'ok', value: { url: found.value, token: target.token, foreman: client } }
}

export interface BenchModel {
  readonly name: string
  readonly family: string
}

const isChat = (model: unknown): boolean => {
  const capabilities = listOf(model, 'capabilities')
  if (capabilities.length > 0) return capabilities.includes('completion')
  return !/bert|embed/i.test(`${textOf(model, 'details', 'family')} ${textOf(model, 'name')}`)
}

const describe = (model: unknown): BenchModel => ({
  name: textOf(model, 'name') ?? '',
  family: textOf(model, 'details', 'family') ?? '',
})

const sameName = (asked: string) => (model: BenchModel) =>
  model.name.toLowerCase() === asked.toLowerCase() || model.name.toLowerCase() === `${asked.toLowerCase()}:latest`

/** The model asked for, else the largest loaded one that chats, else the only installed one. */
export const findModel = async (io: Io, target: BenchTarget, asked: string | undefined): Promise<Found<BenchModel>> => {
  const tags = await target.ask('/api/tags')
  if (tags.kind === 'failed') return exit(io, exitCode.no, `${target.url}: ${tags.message}`)
  const chats = listOf(tags.json, 'models').filter(isChat).map(describe)
  if (asked !== undefined) {
    const found = chats.find(sameName(asked))
    // Names have spellings that only Ollama knows all of: it says itself when there is none.
    return { kind: 'ok', value: found ?? { name: asked, family: '' } }
  }
  const ps = await target.ask('/api/ps')
  const loaded = ps.kind === 'ok' ? listOf(ps.json, 'models') : []
  const bySize = loaded.toSorted((a, b) => (numberOf(b, 'size') ?? 0) - (numberOf(a, 'size') ?? 0))
  const resident = bySize.map(describe).find(({ name }) => chats.some((chat) => chat.name === name))
  const only = chats.length === 1 ? chats[0] : undefined
  const chosen = resident ?? only
  if (chosen) return { kind: 'ok', value: chosen }
  const names = chats.map(({ name }) => name).slice(0, 8)
  return exit(
    io,
    exitCode.usage,
    names.length === 0
      ? `${target.url} has no model that chats`
      : `no model is loaded: say which to measure with --model (${names.join(', ')})`,
  )
}
