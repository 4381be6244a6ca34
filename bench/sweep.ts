/** How long the event loop stands still while the janitor sweeps very many finished jobs; in a process of its own. */
import { join } from 'node:path'
import { type Amounts, count, ms, promised, type Row, told } from './row.ts'

/** What the process that sweeps has measured. */
export interface SweepTold {
  /** Longest stall under the load alone, and while it swept. */
  readonly aloneMs: number
  readonly longestMs: number
  readonly tookMs: number
  /** How many were longer than 20 ms. */
  readonly stalls: number
  /** The longest of each kind of step. */
  readonly stepsMs: Readonly<Record<string, number>>
}

const sweepOnce = async (directory: string, sweepMs: number): Promise<SweepTold> => {
  let swept: SweepTold | undefined
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'sweep-child.ts'), directory, String(sweepMs)], {
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    ipc: ({ result }: { readonly result: SweepTold }) => {
      swept = result
    },
  })
  await child.exited
  if (swept === undefined) throw new Error('bench/sweep-child.ts ended')
  return swept
}

/** As much of the sweep as comes in its time: steps are alike, and it goes on for minutes. */
export const sweepRows = async (directory: string, { many: jobs, sweepMs }: Amounts): Promise<Row[]> => {
  const { aloneMs, longestMs, tookMs, stalls, stepsMs } = await sweepOnce(directory, sweepMs)
  const name = `sweep of ${count(jobs)} finished jobs under a light load`
  const steps = Object.entries(stepsMs).map(([step, longest]) => `${step} ${ms(longest)}`)
  return [
    promised(`${name}: longest stall of the event loop`, ms(longestMs), '<= 20 ms', longestMs <= 20),
    told(`${name}: stalls over 20 ms`, `${stalls} in ${(tookMs / 1_000).toFixed(0)} s`),
    told(`${name}: longest stall without the sweep`, ms(aloneMs)),
    told(`${name}: longest step of each kind`, steps.join(', ')),
  ]
}
