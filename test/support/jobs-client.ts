/** Short ways to talk to /jobs of a running foreman; it must never repair or hide what came back. */
import type { JobState } from '../../src/domain/job/job.ts'
import type { JobJson } from '../../src/http/jobs/schemas.ts'
import { eventually } from './patience.ts'

export interface JobsAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: Record<string, unknown>
}

export interface JobsClient {
  call(
    method: string,
    path: string,
    init?: { body?: string | Uint8Array<ArrayBuffer>; headers?: Record<string, string> },
  ): Promise<JobsAnswer>
  /** Submits and gives the id; the job must be accepted. */
  submit(body: unknown, headers?: Record<string, string>): Promise<string>
  /** The job once it is final. */
  finished(id: string): Promise<JobJson>
  show(id: string): Promise<JobJson>
  /** The job as soon as it is seen in this state. */
  reaches(id: string, state: JobState): Promise<JobJson>
}

const jsonOf = (text: string): Record<string, unknown> => {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** A chat of one user message for `tiny`. */
export const chat = (prompt: string, more: Record<string, unknown> = {}) => ({
  model: 'tiny',
  messages: [{ role: 'user', content: prompt }],
  ...more,
})

/** A client of one foreman. */
export const jobsClient = ({ url }: { readonly url: string }): JobsClient => {
  const call: JobsClient['call'] = async (method, path, init = {}) => {
    const answer = await fetch(url + path, { method, ...init })
    const text = await answer.text()
    return { status: answer.status, headers: answer.headers, text, json: jsonOf(text) }
  }
  const job = async (path: string): Promise<JobJson> => {
    const { status, text, json } = await call('GET', path)
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`)
    return json as JobJson
  }
  const show = (id: string) => job(`/jobs/${id}`)
  return {
    call,
    async submit(body, headers = {}) {
      const { status, text, json } = await call('POST', '/jobs', { body: JSON.stringify(body), headers })
      if (status !== 202) throw new Error(`POST /jobs: ${status} ${text}`)
      return String(json['job_id'])
    },
    show,
    reaches: (id, state) =>
      eventually(10_000, `job ${id} is ${state}`, async () => {
        const seen = await show(id)
        return seen.state === state ? seen : null
      }),
    finished: (id) => job(`/jobs/${id}?wait=20s`),
  }
}
