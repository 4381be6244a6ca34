/** What webhooks cost: a drain with a receiver that takes everything beside one without. */
import { MODEL } from './calls.ts'
import { during, startForeman, startServer } from './children.ts'
import { isDone, submit } from './events.ts'
import { processorMs } from './processor.ts'
import { type Amounts, count, promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

const SUBMITTED_AT_ONCE = 16
// Streams of a second each: the queue fills behind them.
const HOLDING = 2
const TRANSITIONS = 4
const PERMISSIVE = { FOREMAN_WEBHOOK_POLICY: 'any', FOREMAN_MAX_QUEUE: '1000000' }

const bodyOf = (content: string, hook: string | null) => ({
  model: MODEL,
  messages: [{ role: 'user', content }],
  state_webhook_url: hook,
})

const receivedBy = async (port: number): Promise<number> =>
  Number(await (await fetch(`http://127.0.0.1:${port}/`)).text())

interface Drained {
  readonly jobsPerSecond: number
  readonly cpuMsPerJob: number
}

/** From the first job to the last: of all jobs done, and with a receiver of every webhook taken. */
const drain = async (
  foreman: { readonly pid: number; readonly port: number },
  jobs: number,
  receiver: { readonly port: number } | null,
): Promise<Drained> => {
  const hook = receiver === null ? null : `http://127.0.0.1:${receiver.port}/hook`
  const before = receiver === null ? 0 : await receivedBy(receiver.port)
  const holding = await Promise.all(Array.from({ length: HOLDING }, () => submit(foreman.port, bodyOf('hold', null))))
  let sent = 0
  let last = ''
  const submitter = async () => {
    while (sent < jobs) {
      sent++
      last = (await submit(foreman.port, bodyOf('[[now]]', hook))).job_id
    }
  }
  await Promise.all(Array.from({ length: SUBMITTED_AT_ONCE }, submitter))
  await isDone(foreman.port, holding.at(-1)?.job_id ?? '')
  const processorBefore = processorMs(foreman.pid)
  const startedAt = performance.now()
  await isDone(foreman.port, last)
  while (receiver !== null && (await receivedBy(receiver.port)) < before + TRANSITIONS * jobs) await Bun.sleep(5)
  const elapsedS = (performance.now() - startedAt) / 1_000
  return { jobsPerSecond: jobs / elapsedS, cpuMsPerJob: (processorMs(foreman.pid) - processorBefore) / jobs }
}

/** Drains of two foremen in turn. */
export const drainRows = ({ rounds, hooked: jobs }: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const target = keep(await startServer('target.ts'))
    const receiver = keep(await startServer('receiver.ts'))
    const without = keep(await startForeman(target.port, PERMISSIVE))
    const hooked = keep(await startForeman(target.port, PERMISSIVE))
    const measured: { readonly without: Drained; readonly hooked: Drained }[] = []
    for (let round = 0; round < rounds; round++)
      measured.push({
        without: await drain(without, jobs, null),
        hooked: await drain(hooked, jobs, receiver),
      })
    const shown = (of: (round: (typeof measured)[number]) => Drained) =>
      `${count(median(measured.map((round) => of(round).jobsPerSecond)))} jobs/s, ${median(
        measured.map((round) => of(round).cpuMsPerJob),
      ).toFixed(2)} ms of processor each`
    const ratio = median(measured.map((round) => round.hooked.jobsPerSecond / round.without.jobsPerSecond))
    const name = 'a receiver that takes everything'
    return [
      told(
        `${name}: drain without webhooks`,
        shown((round) => round.without),
      ),
      told(
        `${name}: drain with theirs, all told`,
        shown((round) => round.hooked),
      ),
      promised(`${name}: jobs/s beside none`, times(ratio), '>= 0.60x', ratio >= 0.6),
    ]
  })
