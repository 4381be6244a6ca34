/** Whether receivers that take a webhook and never answer hold the worker up. */
import { startForeman } from './children.ts'
import { submit } from './events.ts'
import type { Subjects } from './paths.ts'
import { MODEL } from './requests.ts'
import { promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

const RECEIVERS = 100
const SUBMITTED_AT_ONCE = 16

const startHanging = () =>
  Array.from({ length: RECEIVERS }, () =>
    Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined, error: () => undefined } }),
  )

const lastIsDone = async (port: number, jobId: string): Promise<void> => {
  const reply = await fetch(`http://127.0.0.1:${port}/jobs/${jobId}?wait=10m`)
  if (!(await reply.text()).includes('"state":"done"')) throw new Error(`job ${jobId} is not done`)
}

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
      const { job_id } = await submit(port, JSON.stringify({ model: MODEL, messages, state_webhook_url }))
      ids.push(job_id)
    }
  }
  await Promise.all(Array.from({ length: SUBMITTED_AT_ONCE }, submitter))
  await Promise.all(ids.slice(-SUBMITTED_AT_ONCE).map((id) => lastIsDone(port, id)))
  return (ids.length / (performance.now() - startedAt)) * 1_000
}

/** Two foremen take turns, one of which owes its webhooks to receivers that hang. */
export const hookRows = async ({ target, amounts }: Subjects): Promise<Row[]> => {
  const hanging = startHanging()
  const urls = hanging.map(({ port }) => `http://127.0.0.1:${port}/hook`)
  const without = await startForeman(target.port)
  const hooked = await startForeman(target.port, { FOREMAN_WEBHOOK_POLICY: 'any' })
  try {
    const rates: { readonly without: number; readonly hooked: number }[] = []
    for (let round = 0; round < amounts.rounds; round++)
      rates.push({
        without: await jobsPerSecond(without.port, amounts.hooked, []),
        hooked: await jobsPerSecond(hooked.port, amounts.hooked, urls),
      })
    const ratio = median(rates.map((rate) => rate.hooked / rate.without))
    const shown = (values: number[]) => `${Math.round(median(values)).toLocaleString('en-US')} jobs/s`
    const name = `${RECEIVERS} receivers that hang`
    return [
      told(`${name}: jobs without webhooks`, shown(rates.map((rate) => rate.without))),
      told(`${name}: jobs with theirs`, shown(rates.map((rate) => rate.hooked))),
      promised(`${name}: jobs/s beside none`, times(ratio), '>= 0.95x', ratio >= 0.95),
    ]
  } finally {
    await hooked.stop()
    await without.stop()
    for (const listener of hanging) listener.stop(true)
  }
}
