/** A target whose every answer is a function of the path: a Response, or the bytes of one that no server would send. */

export interface StubTarget {
  readonly url: string
  /** The paths asked for so far, in order. */
  paths(): string[]
  /** Everything received so far, one text per request: request line, headers, body. */
  seen(): string[]
  stop(): Promise<void>
}

type AnswerTo = (path: string) => Response | string

const own: Record<string, unknown> = {
  '/api/tags': { models: [{ name: 'm:latest', model: 'm:latest' }] },
  '/api/ps': { models: [{ name: 'm:latest', model: 'm:latest' }] },
  '/api/version': { version: '0.0.0' },
  '/livez': { status: 'ok' },
}

const written = async (response: Response): Promise<string> => {
  const body = await response.text()
  const headers = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `HTTP/1.1 ${response.status} X\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
}

/** Listens on a free port; /api/tags, /api/ps and /api/version know one model, `m`. */
export const startStubTarget = (answerTo: AnswerTo): StubTarget => {
  const requests: string[] = []
  const server = Bun.listen<{ text: string }>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { text: '' }
      },
      async data(socket, bytes) {
        socket.data.text += bytes.toString('latin1')
        const { text } = socket.data
        const head = text.indexOf('\r\n\r\n')
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
        if (head < 0 || text.length < head + 4 + length) return
        requests.push(text)
        const path = text.split(' ')[1] ?? ''
        const answer = path in own ? Response.json(own[path]) : answerTo(path)
        socket.write(typeof answer === 'string' ? answer : await written(answer))
        socket.end()
      },
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    paths: () => requests.map((text) => text.split(' ')[1] ?? ''),
    seen: () => requests,
    stop: async () => server.stop(true),
  }
}
