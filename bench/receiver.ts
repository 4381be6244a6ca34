/** A receiver of webhooks, a process of its own: it takes every POST and says to a GET how many there were. */

let received = 0
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  idleTimeout: 0,
  development: false,
  async fetch(request) {
    if (request.method !== 'POST') return new Response(String(received))
    await request.arrayBuffer()
    received++
    return new Response()
  },
})
process.send?.({ ready: true, port: server.port })
