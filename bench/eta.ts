/** How far off the ETA of a job is, against a simulated target of known delays with two models that do not fit together. */
import { startSimulator } from '../src/simulator/simulator.ts'
import { startForeman } from './children.ts'
import { submit } from './events.ts'
import { type Amounts, type Row, told } from './row.ts'
import { median, quantile } from './statistics.ts'

const MODELS = ['llama3.2:3b', 'qwen3:8b'] as const
const LOAD_MS = 1_000
const JOB_MS = 400
// Jobs come a little faster than they are done, so that a line forms.
const GAP_MAX_MS = 600

interface Told {
  readonly etaMs: number | null
  readonly actualMs: number
}

/** Submits one job and holds on until it is final. */
const follow = async (port: number, model: string): Promise<Told> => {
  const submittedAt = performance.now()
  const { job_id, eta_seconds } = await submit(port, { model, prompt: 'hi' })
  const reply = await fetch(`http://127.0.0.1:${port}/jobs/${job_id}?wait=10m`)
  const text = await reply.text()
  if (!text.includes('"state":"done"')) throw new Error(`a job of the ETA bench is not done: ${text}`)
  return { etaMs: eta_seconds === null ? null : eta_seconds * 1_000, actualMs: performance.now() - submittedAt }
}

/** The same arrivals at every run. */
const createDice = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const runJobs = async (port: number, count: number): Promise<Told[]> => {
  // One of each first: nothing is known of a model before it has run.
  for (const model of MODELS) await follow(port, model)
  const dice = createDice(1)
  const followed: Promise<Told>[] = []
  for (let i = 0; i < count; i++) {
    followed.push(follow(port, MODELS[dice() < 0.5 ? 0 : 1]))
    await Bun.sleep(dice() * GAP_MAX_MS)
  }
  return Promise.all(followed)
}

/** Some jobs of two models at random moments. */
export const etaRows = async ({ etaJobs }: Amounts): Promise<Row[]> => {
  const simulator = await startSimulator({ loadMs: LOAD_MS, firstTokenMs: JOB_MS })
  const foreman = await startForeman(simulator.port)
  try {
    const jobs = await runJobs(foreman.port, etaJobs)
    const errors = jobs.flatMap(({ etaMs, actualMs }) =>
      etaMs === null ? [] : [Math.abs(etaMs - actualMs) / actualMs],
    )
    const name = `ETA of ${etaJobs} jobs, two models in turns, one loaded at a time`
    if (errors.length === 0) return [told(name, 'none was told')]
    const sorted = errors.sort((a, b) => a - b)
    const percent = (share: number) => `${(share * 100).toFixed(0)} %`
    return [
      told(
        `${name}: error beside the real time, p50 / p90`,
        `${percent(median(sorted))} / ${percent(quantile(sorted, 0.9))}`,
      ),
      told(`${name}: not told`, String(jobs.length - errors.length)),
    ]
  } finally {
    await foreman.stop()
    await simulator.stop()
  }
}
