/** How soon somebody who follows a job sees what the target sends. */
import type { Subjects } from './paths.ts'
import { requests } from './requests.ts'
import { ms, promised, type Row } from './row.ts'
import { median } from './statistics.ts'

const clockMs = () => performance.timeOrigin + performance.now()

/** Submits a job; its id. */
export const submit = async (port: number, body: string): Promise<{ job_id: string; eta_seconds: number | null }> => {
  const reply = await fetch(`http://127.0.0.1:${port}/jobs`, { method: 'POST', body })
  const accepted: unknown = await reply.json()
  if (reply.status !== 202 || typeof accepted !== 'object' || accepted === null || !('job_id' in accepted))
    throw new Error(`POST /jobs says ${reply.status}`)
  const eta = 'eta_seconds' in accepted && typeof accepted.eta_seconds === 'number' ? accepted.eta_seconds : null
  return { job_id: String(accepted.job_id), eta_seconds: eta }
}

/** Follows one job until its first chunk; how long ago the target had sent that. */
const firstChunkMs = async (port: number): Promise<number> => {
  const { job_id } = await submit(port, requests.streamedChat.split('\r\n\r\n')[1] ?? '')
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

/** The first chunk of jobs that run one after the other. */
export const eventRows = async ({ foreman, amounts }: Subjects): Promise<Row[]> => {
  const measured: number[] = []
  for (let i = 0; i < amounts.streams; i++) measured.push(await firstChunkMs(foreman.port))
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
