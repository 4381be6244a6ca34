/** Puts the server on its one address; it must never share that address with another process. */
import { addressText, type ListenAddress } from '../domain/address.ts'
import type { createApp } from './server.ts'

type App = ReturnType<typeof createApp>

export type Listening =
  | { readonly kind: 'listening'; readonly server: NonNullable<App['server']> }
  | { readonly kind: 'refused'; readonly message: string }

/** `::` is every address of both families; a kernel without IPv6 has only the other one. */
const hostnamesFor = (hostname: string): string[] => (hostname === '::' ? ['::', '0.0.0.0'] : [hostname])

/** Listens, or says in one sentence why not. */
export const listenOn = (app: App, { hostname, port }: ListenAddress): Listening => {
  let why = ''
  for (const candidate of hostnamesFor(hostname)) {
    try {
      // Elysia asks for a shared port by itself: a second foreman would start, and the kernel deal the calls out to both.
      app.listen({ hostname: candidate, port, reusePort: false })
    } catch (error) {
      why ||= error instanceof Error ? error.message : String(error)
      if (isTaken(error)) break
      continue
    }
    if (!app.server) throw new Error('the server did not start')
    return { kind: 'listening', server: app.server }
  }
  return { kind: 'refused', message: `FOREMAN_ADDR ${addressText({ hostname, port })} cannot be listened on: ${why}` }
}

const isTaken = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
