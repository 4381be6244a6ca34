/** A receiver of webhooks on a real socket: it keeps what came, in order, and answers as the test says; it must never judge. */

/** What a webhook says; `result` and `artifacts` as they came. */
export interface WebhookBody {
  readonly job_id: string
  readonly state: string
  readonly previous_state: string | null
  readonly sequence: number
  readonly timestamp: string
  readonly model: string
  readonly attempt: number
  readonly error: { readonly code: string; readonly message: string } | null
  readonly result: Record<string, unknown> | null
  readonly artifacts: readonly Record<string, unknown>[] | null
}

export interface Receipt {
  readonly path: string
  readonly headers: Headers
  /** To the byte, as it was signed. */
  readonly text: string
  readonly body: WebhookBody
  /** What it was answered; null = it still waits. */
  status: number | null
}

export interface Receiver {
  readonly url: string
  /** Everything that came, refused tries included. */
  readonly receipts: readonly Receipt[]
  /** What came for a job and was taken with a 2xx. */
  taken(jobId: string): Receipt[]
  /** Resolves when what came satisfies this, now or later. */
  until(what: string, predicate: (receipts: readonly Receipt[]) => boolean, limitMs?: number): Promise<void>
  /** Resolves with all that was taken of a job, once its final state is among it. */
  told(jobId: string, limitMs?: number): Promise<Receipt[]>
  stop(): Promise<void>
}

/** A status, or a promise that may never settle. */
export type ReceiverAnswer = (
  receipt: Receipt,
  receipts: readonly Receipt[],
) => number | Response | Promise<number | Response>

const FINAL = ['done', 'failed', 'cancelled']
const LIMIT_MS = 15_000

/** Starts one; without `answer` it takes everything with 204. */
export const startReceiver = (answer: ReceiverAnswer = () => 204, port = 0): Receiver => {
  const receipts: Receipt[] = []
  let watchers: (() => void)[] = []
  const changed = () => {
    for (const watch of watchers) watch()
  }
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port,
    idleTimeout: 0,
    async fetch(request) {
      const text = await request.text()
      const { pathname: path } = new URL(request.url)
      const receipt: Receipt = { path, headers: request.headers, text, body: JSON.parse(text), status: null }
      receipts.push(receipt)
      changed()
      const said = await answer(receipt, receipts)
      const response = typeof said === 'number' ? new Response(null, { status: said }) : said
      receipt.status = response.status
      changed()
      return response
    },
  })
  const taken = (jobId: string) =>
    receipts.filter(({ body, status }) => body.job_id === jobId && status !== null && status >= 200 && status < 300)
  const until: Receiver['until'] = (what, predicate, limitMs = LIMIT_MS) =>
    new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer)
        watchers = watchers.filter((watch) => watch !== look)
      }
      const look = () => {
        if (!predicate(receipts)) return
        finish()
        resolve()
      }
      const timer = setTimeout(() => {
        finish()
        reject(new Error(`hung: ${what} (not within ${limitMs} ms, ${receipts.length} webhooks came)`))
      }, limitMs)
      watchers.push(look)
      look()
    })
  return {
    url: `http://127.0.0.1:${server.port}/hook`,
    receipts,
    taken,
    until,
    async told(jobId, limitMs) {
      const isTold = () => taken(jobId).some(({ body }) => FINAL.includes(body.state))
      await until(`the final webhook of ${jobId}`, isTold, limitMs)
      return taken(jobId)
    },
    stop: () => server.stop(true),
  }
}

/** Without what came again: "at least once" allows it whenever a stop or a kill cuts a try off. */
export const firstOf = (receipts: readonly Receipt[]): Receipt[] =>
  receipts.filter(({ body }, i) => receipts.findIndex((other) => other.body.sequence === body.sequence) === i)

/** State by state, as the receiver took it. */
export const statesOf = (receipts: readonly Receipt[]): string[] => receipts.map(({ body }) => body.state)
