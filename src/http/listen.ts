/** Puts the server on its one address; it must never share that address with another process. */
import http from 'node:http'
import { addressText, type ListenAddress } from '../domain/address.ts'
import type { createApp } from './server.ts'

type App = ReturnType<typeof createApp>

export type Server = ReturnType<App['listen']>

export type Listening =
  | { readonly kind: 'listening'; readonly server: Server }
  | { readonly kind: 'refused'; readonly message: string }

/** `::` is every address of both families; a kernel without IPv6 has only the other one. */
const hostnamesFor = (hostname: string): string[] => (hostname === '::' ? ['::', '0.0.0.0'] : [hostname])

// Cookies of a whole domain come to 20 KB and more.
const HEADERS_MAX_BYTES = 65_536

/** Listens, or says in one sentence why not. */
export const listenOn = (app: App, { hostname, port }: ListenAddress): Listening => {
  // For all servers of the process: Bun has no setting for one. How many there may be (197) is built in.
  Object.assign(http, { maxHeaderSize: HEADERS_MAX_BYTES })
  let why = ''
  for (const candidate of hostnamesFor(hostname)) {
    try {
      return { kind: 'listening', server: app.listen({ hostname: candidate, port }) }
    } catch (error) {
      why ||= error instanceof Error ? error.message : String(error)
      if (isTaken(error)) break
    }
  }
  return { kind: 'refused', message: `FOREMAN_ADDR ${addressText({ hostname, port })} cannot be listened on: ${why}` }
}

const isTaken = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
