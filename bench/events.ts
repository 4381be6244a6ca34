/** How soon somebody who follows a job sees what the target sends. */
import { calls, post } from './calls.ts'
import { during, startForeman, startServer } from './children.ts'
import { type Amounts, ms, promised, type Row } from './row.ts'
import { median } from './statistics.ts'

const clockMs = () => performance.timeOrigin + performance.now()

/** Submits a job; its id. */
export const submit = async (port: number, body: object): Promise<{ job_id: string; eta_seconds: number | null }> => {
  const reply = await post({ path: '/jobs', body }, port)
  const accepted: unknown = await reply.json()
  if (reply.status !== 202 || typeof accepted !== 'object' || accepted === null || !('job_id' in accepted))
    throw new Error(`POST /jobs says ${reply.status}: ${JSON.stringify(accepted)}`)
  const eta = 'eta_seconds' in accepted && typeof accepted.eta_seconds === 'number' ? accepted.eta_seconds : null
  return { job_id: String(accepted.job_id), eta_seconds: eta }
}

/** Follows one job until its first chunk; how long ago the target had sent that. */
const firstChunkMs = async (port: number): Promise<number> => {
  const { job_id } = await submit(port, calls.streamedChat.body)
  const url = `http://127.0.0.1:${port}/jobs/${job_id}`
  const reply = await fetch(`${url}/events`)
  const decoder = new TextDecoder()
  let text = ''
  if (reply.body === null) throw new Error('no events')
  // Leaving the loop cancels the body.
  for await (const bytes of reply.body) {
    text += decoder.decode(bytes, { stream: true })
    const sentAt = /event: chunk\ndata: .*?at=([\d.]+)/.exec(text)?.[1]
    if (sentAt === undefined) continue
    const passedMs = clockMs() - Number(sentAt)
    await fetch(url, { method: 'DELETE' })
    return passedMs
  }
  throw new Error('the events ended without a chunk')
}

/** When a job is done; anything else is not expected here. */
export const isDone = async (port: number, jobId: string): Promise<void> => {
  const reply = await fetch(`http://127.0.0.1:${port}/jobs/${jobId}?wait=10m`)
  if (!(await reply.text()).includes('"state":"done"')) throw new Error(`job ${jobId} is not done`)
}

/** The first chunk of jobs that run one after the other. */
export const eventRows = async ({ streams }: Amounts): Promise<Row[]> => {
  const measured = await during(async (keep) => {
    const target = keep(await startServer('target.ts'))
    const { port } = keep(await startForeman(target.port))
    const all: number[] = []
    for (let i = 0; i < streams; i++) all.push(await firstChunkMs(port))
    return all
  })
  const longest = Math.max(...measured)
  return [
    promised(
      'events of a job: first chunk after the target sent it, p50 / longest',
      `${ms(median(measured))} / ${ms(longest)}`,
      'longest <= 20 ms',
      longest <= 20,
    ),
  ]
}
