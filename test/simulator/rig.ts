/** A simulator for one test, and short ways to talk to it; everything it starts is stopped by `stopRigs`. */
import { type Simulator, type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { post, type RawClient, rawClient } from '../support/raw-client.ts'
import { transcriptModels } from '../support/transcript-models.ts'

export interface Rig extends Simulator {
  raw(): Promise<RawClient>
  /** A POST over fetch; the answer parsed. */
  ask(path: string, body: unknown): Promise<{ status: number; json: Record<string, unknown> }>
  /** A chat on a raw socket, sent and not awaited. */
  chat(prompt: string, more?: Record<string, unknown>): Promise<RawClient>
}

const running: { simulator: Simulator; clients: RawClient[] }[] = []

/** Starts a simulator with the transcripts' models. */
export const startRig = async (options: SimulatorOptions = {}): Promise<Rig> => {
  const simulator = await startSimulator({ models: transcriptModels, ...options })
  const clients: RawClient[] = []
  running.push({ simulator, clients })
  const raw = async () => {
    const client = await rawClient(simulator.port)
    clients.push(client)
    return client
  }
  return {
    ...simulator,
    raw,
    async ask(path, body) {
      const answer = await fetch(simulator.url + path, { method: 'POST', body: JSON.stringify(body) })
      return { status: answer.status, json: (await answer.json()) as Record<string, unknown> }
    },
    async chat(prompt, more = {}) {
      const client = await raw()
      client.send(post('/api/chat', chatBody(prompt, more)))
      return client
    },
  }
}

/** A chat of one user message, for `tiny` unless `more` says otherwise. */
export const chatBody = (prompt: string, more: Record<string, unknown> = {}) => ({
  model: 'tiny',
  messages: [{ role: 'user', content: prompt }],
  ...more,
})

/** Stops every simulator and closes every client. */
export const stopRigs = async () => {
  for (const { simulator, clients } of running.splice(0)) {
    for (const client of clients) client.destroy()
    await simulator.stop()
  }
}

/** Whether a whole chunked answer has arrived. */
export const isComplete = (received: string) => received.endsWith('0\r\n\r\n')

/** The body's chunks, whole ones only. */
export const chunksOf = (received: string): string[] => {
  const chunks: string[] = []
  let rest = received.slice(received.indexOf('\r\n\r\n') + 4)
  for (;;) {
    const head = /^([0-9a-f]+)\r\n/.exec(rest)
    const size = head ? Number.parseInt(head[1]!, 16) : 0
    if (!head || size === 0 || rest.length < head[0].length + size + 2) return chunks
    chunks.push(rest.slice(head[0].length, head[0].length + size))
    rest = rest.slice(head[0].length + size + 2)
  }
}
