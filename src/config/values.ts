/** Readers for what only the core's settings hold: addresses, secrets and the policies' words. */
import type { ListenAddress } from '../domain/address.ts'
import type { Parsed } from '../domain/duration.ts'
import { bad, ok } from '../domain/readers.ts'

/** Which receivers a webhook may reach. */
export const webhookPolicies = ['public', 'lan', 'any'] as const
export type WebhookPolicy = (typeof webhookPolicies)[number]

/** Whether embeddings go past the queue: as the target has shown that it can bear it, always, or never. */
export const embedModes = ['auto', 'bypass', 'queue'] as const
export type EmbedMode = (typeof embedModes)[number]

/** `host:port`, `:port` for every address, `[v6]:port`; port 0 picks a free one. */
export const readAddress = (text: string): Parsed<ListenAddress> => {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]*):(\d{1,5})$/i.exec(text)
  if (!match || Number(match[2]) > 65535) return bad()
  const hostname = match[1]!.replace(/^\[|\]$/g, '')
  return ok({ hostname: hostname === '' ? '::' : hostname, port: Number(match[2]) })
}

/** One signing secret, or two separated by a comma while receivers are moved from the old one to the new one. */
export const readSecrets = (text: string): Parsed<readonly string[]> => {
  const secrets = text === '' ? [] : text.split(',').map((secret) => secret.trim())
  const isUsable = (secret: string) => /^[\x21-\x7e]{16,512}$/.test(secret) && hasKey(secret)
  return secrets.length <= 2 && secrets.every(isUsable) && new Set(secrets).size === secrets.length
    ? ok(secrets)
    : bad()
}

export interface NamedToken {
  readonly name: string
  readonly token: string
}

/** `alice=token,ci=token`; a token has no comma. */
export const readNamedTokens = (text: string): Parsed<readonly NamedToken[]> => {
  const tokens = (text === '' ? [] : text.split(',')).map((pair) => {
    const [, name = '', token = ''] = /^\s*([A-Za-z0-9._-]{1,64})=([\x21-\x2b\x2d-\x7e]{1,4096})\s*$/.exec(pair) ?? []
    return { name, token }
  })
  const isSingle = (of: (one: NamedToken) => string) => new Set(tokens.map(of)).size === tokens.length
  const isWhole = tokens.every(({ token }) => token !== '')
  return isWhole && isSingle(({ name }) => name) && isSingle(({ token }) => token) ? ok(tokens) : bad()
}

/** Standard Webhooks writes a binary key as `whsec_` and base64; one that does not decode would sign with garbage. */
const hasKey = (secret: string) =>
  !secret.startsWith('whsec_') || /^whsec_(?:[A-Za-z0-9+/]{4}){4,}[A-Za-z0-9+/]{0,3}={0,2}$/.test(secret)

const listOf = (text: string): string[] => (text === '' ? [] : text.split(',').map((one) => one.trim().toLowerCase()))

const allOf =
  (pattern: RegExp) =>
  (text: string): Parsed<readonly string[]> => {
    const all = listOf(text)
    return all.every((one) => pattern.test(one)) ? ok(all) : bad()
  }

/** Origins as browsers send them; `*` may stand for a part of one or for all. */
export const readOrigins = allOf(/^(?:\*|null|[a-z][a-z0-9+.*-]*:\/\/[a-z0-9._*:[\]-]+)$/)

/** Names or addresses without a port; `*.` in front stands for every name below, `*` for every name. */
export const readHosts = allOf(/^(?:\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[?[0-9a-f:.]+\]?)$/)
