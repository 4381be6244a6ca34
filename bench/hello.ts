/** The smallest server that Bun compiles: what foreman's start and memory are to be seen beside. */
Bun.serve({ hostname: '127.0.0.1', port: Number(process.env['PORT']), fetch: () => new Response('hello') })
