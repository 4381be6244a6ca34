/** What foreman is measured against, a process of its own: Bun.serve and fetch and nothing else, set up as well as it can be. */

const target = process.argv[2]
const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'content-length']

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  idleTimeout: 0,
  development: false,
  async fetch(request) {
    const { pathname, search } = new URL(request.url)
    const headers = new Headers(request.headers)
    for (const name of ['host', ...HOP_BY_HOP]) headers.delete(name)
    const reply = await fetch(`${target}${pathname}${search}`, {
      method: request.method,
      headers,
      // Read first: fetch is a third slower when it streams a request body.
      body: request.body === null ? null : await request.arrayBuffer(),
      signal: request.signal,
      redirect: 'manual',
      decompress: false,
      // The silence of a long generation is no fault (BunFetchRequestInit, not in lib.dom).
      timeout: false,
    } as RequestInit)
    const answered = new Headers(reply.headers)
    for (const name of HOP_BY_HOP) answered.delete(name)
    return new Response(reply.body, { status: reply.status, headers: answered })
  },
})
process.send?.({ ready: true, port: server.port })
