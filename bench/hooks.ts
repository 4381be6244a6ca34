/** Whether receivers that take a webhook and never answer hold the worker up. */
import { MODEL } from './calls.ts'
import { during, startForeman, startServer } from './children.ts'
import { isDone, submit } from './events.ts'
import { type Amounts, promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

const RECEIVERS = 100
const SUBMITTED_AT_ONCE = 16

const startHanging = () =>
  Array.from({ length: RECEIVERS }, () =>
    Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined, error: () => undefined } }),
  )

/** Jobs that run and are done in a second; `hooks` take turns when there are any. */
const jobsPerSecond = async (port: number, jobs: number, hooks: readonly string[]): Promise<number> => {
  const startedAt = performance.now()
  const ids: string[] = []
  let sent = 0
  const submitter = async () => {
    while (sent < jobs) {
      const state_webhook_url = hooks.length === 0 ? null : hooks[sent % hooks.length]
      sent++
      const messages = [{ role: 'user', content: '[[now]]' }]
      const { job_id } = await submit(port, { model: MODEL, messages, state_webhook_url })
      ids.push(job_id)
    }
  }
  await Promise.all(Array.from({ length: SUBMITTED_AT_ONCE }, submitter))
  await Promise.all(ids.slice(-SUBMITTED_AT_ONCE).map((id) => isDone(port, id)))
  return (ids.length / (performance.now() - startedAt)) * 1_000
}

/** Two foremen take turns, one of which owes its webhooks to receivers that hang. */
export const hookRows = ({ rounds, hooked: jobs }: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const hanging = startHanging()
    keep({
      async stop() {
        for (const listener of hanging) listener.stop(true)
      },
    })
    const urls = hanging.map(({ port }) => `http://127.0.0.1:${port}/hook`)
    const target = keep(await startServer('target.ts'))
    const without = keep(await startForeman(target.port))
    const hooked = keep(await startForeman(target.port, { FOREMAN_WEBHOOK_POLICY: 'any' }))
    const rates: { readonly without: number; readonly hooked: number }[] = []
    for (let round = 0; round < rounds; round++)
      rates.push({
        without: await jobsPerSecond(without.port, jobs, []),
        hooked: await jobsPerSecond(hooked.port, jobs, urls),
      })
    const ratio = median(rates.map((rate) => rate.hooked / rate.without))
    const shown = (values: number[]) => `${Math.round(median(values)).toLocaleString('en-US')} jobs/s`
    const name = `${RECEIVERS} receivers that hang`
    return [
      told(`${name}: jobs without webhooks`, shown(rates.map((rate) => rate.without))),
      told(`${name}: jobs with theirs`, shown(rates.map((rate) => rate.hooked))),
      promised(`${name}: jobs/s beside none`, times(ratio), '>= 0.95x', ratio >= 0.95),
    ]
  })
