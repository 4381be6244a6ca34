/** The longest that a look at /livez waits while 16 clients keep foreman busy: how long its event loop stood still; beside a bare proxy under the same load. */
import { calls } from './calls.ts'
import { during, startForeman, startServer } from './children.ts'
import { type Amounts, ms, promised, type Row, told } from './row.ts'
import { isWrkInstalled, runWrk } from './wrk.ts'

const CLIENTS = 16
const PAUSE_MS = 2

/** Asks again and again until `over` has come. */
const longestLookMs = async (url: string, over: Promise<unknown>): Promise<number> => {
  let isOver = false
  void over.then(() => {
    isOver = true
  })
  let longestMs = 0
  while (!isOver) {
    const askedAt = performance.now()
    await (await fetch(url)).arrayBuffer()
    longestMs = Math.max(longestMs, performance.now() - askedAt)
    await Bun.sleep(PAUSE_MS)
  }
  return longestMs
}

/** Queued calls, as fast as they are answered. */
export const trafficRows = ({ trafficMs }: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const name = `${CLIENTS} clients for ${trafficMs / 1_000} s: longest wait for a small look`
    if (!isWrkInstalled()) return [told(name, 'not measured: wrk is not installed')]
    const target = keep(await startServer('target.ts'))
    const bare = keep(await startServer('bare-proxy.ts', `http://127.0.0.1:${target.port}`))
    const foreman = keep(await startForeman(target.port))
    const loaded = (port: number, path: string, forMs: number) =>
      longestLookMs(
        `http://127.0.0.1:${port}${path}`,
        runWrk({ ...calls.chat, port, clients: CLIENTS, seconds: forMs / 1_000 }),
      )
    const bareMs = await loaded(bare.port, '/api/version', trafficMs / 3)
    const longestMs = await loaded(foreman.port, '/livez', trafficMs)
    return [
      told(`${name}: bare proxy`, ms(bareMs)),
      promised(`${name}: foreman`, ms(longestMs), '<= 20 ms', longestMs <= 20),
    ]
  })
