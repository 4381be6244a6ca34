/** Counts the transfers of models that are under way on the target, whoever asked for them: what ends the target just then throws away what has come; it must never touch a byte. */
import type { Clock } from '../domain/clock.ts'
import type { BodyRead, Reply, ReplyBody } from './ports.ts'

/** A client of the target as far as it is counted here. */
interface Sends<Request extends { readonly path: string }, Options> {
  send(request: Request, options: Options): Promise<Reply>
}

export interface Transfers {
  /** A pull or a create is under way through this foreman, and has moved within half an hour. */
  isTransferring(): boolean
  /** The same client, whose transfers are counted. */
  counted<Request extends { readonly path: string }, Options, Client extends Sends<Request, Options>>(
    client: Client & Sends<Request, Options>,
  ): Client
}

// A create may pull its base model. What is uploaded or pushed is sent again by whoever sends it.
const isTransfer = (path: string) => /^\/api\/(pull|create)(\?|$)/.test(path)

// A transfer says something every second, and is silent for minutes while it checks or converts. After longer there is nothing to wait for.
const SILENT_MS = 30 * 60_000

const untilOver = (body: ReplyBody, moved: () => void, over: () => void): ReplyBody => ({
  complete: body.complete,
  ...(body.chunks !== undefined && { chunks: body.chunks }),
  async read(): Promise<BodyRead> {
    const read = await body.read()
    if (read.kind === 'chunk') moved()
    else over()
    return read
  },
  cancel() {
    over()
    body.cancel()
  },
})

/** Nothing is under way. */
export const createTransfers = ({ monotonicMs }: Pick<Clock, 'monotonicMs'>): Transfers => {
  /** When each moved last. */
  const open = new Map<object, number>()
  return {
    isTransferring: () => [...open.values()].some((movedMs) => monotonicMs() - movedMs < SILENT_MS),
    counted: (client) => ({
      ...client,
      async send(request, options) {
        if (!isTransfer(request.path)) return client.send(request, options)
        const transfer = {}
        open.set(transfer, monotonicMs())
        const moved = () => {
          if (open.has(transfer)) open.set(transfer, monotonicMs())
        }
        const over = () => void open.delete(transfer)
        try {
          const reply = await client.send(request, options)
          if (reply.kind === 'answered' && reply.body.complete === null)
            return { ...reply, body: untilOver(reply.body, moved, over) }
          over()
          return reply
        } catch (error) {
          over()
          throw error
        }
      },
    }),
  }
}
