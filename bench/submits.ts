/** POST /jobs beside a bare route that does nothing but write the same body; the worker is held, so that only submits run. */
import { join } from 'node:path'
import { temporaryDirectory } from '../test/support/binary.ts'
import { startForeman, startServer } from './children.ts'
import type { LoadResult } from './load.ts'
import { medianOf, type Subjects } from './paths.ts'
import { requests } from './requests.ts'
import { ms, perSecond, promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

/** Longer than the rows take; the target answers it to nobody. */
const HOLD_MS = 3_600_000

type Name = 'bare' | 'direct' | 'sameRows' | 'foreman'
type Turns = readonly { readonly name: Name; readonly port: number; readonly request: string }[]
type Measured = Record<Name, LoadResult[]>

const compare = async ({ load, amounts }: Subjects, turns: Turns, connections: 1 | 64): Promise<Measured> => {
  const count = connections === 1 ? amounts.requests.one : amounts.requests.sixteen
  const measured: Measured = { bare: [], direct: [], sameRows: [], foreman: [] }
  for (let round = 0; round < amounts.rounds; round++) {
    const warmup = round === 0 ? count : Math.ceil(count / 10)
    for (const { name, port, request } of turns) {
      const result = await load.run({ port, request, connections, requests: count, warmup, wanted: 202 })
      if (result.failures > 0) throw new Error(`${result.failures} answers of ${name} were not 202`)
      measured[name].push(result)
    }
  }
  return measured
}

const shown = (results: readonly LoadResult[]) =>
  `${ms(medianOf(results, 'p50Ms'))} / ${ms(medianOf(results, 'p99Ms'))}, ${perSecond(medianOf(results, 'perSecond'))}`

/** The median over the rounds of the ratio within a round. */
const ratio = (ours: readonly LoadResult[], theirs: readonly LoadResult[], field: 'p50Ms' | 'perSecond'): number =>
  median(ours.map((result, i) => result[field] / (theirs[i]?.[field] ?? Number.NaN)))

const measure = async (subjects: Subjects, foremanPort: number, barePort: number): Promise<Row[]> => {
  const foreman = { name: 'foreman', port: foremanPort, request: requests.job } as const
  const bare = { name: 'bare', port: barePort, request: requests.job } as const
  const direct = { name: 'direct', port: barePort, request: requests.directJob } as const
  const sameRows = { name: 'sameRows', port: barePort, request: requests.sameRowsJob } as const
  const many = await compare(subjects, [bare, foreman], 64)
  const one = await compare(subjects, [direct, sameRows, foreman], 1)
  const rate = ratio(many.foreman, many.bare, 'perSecond')
  const wait = ratio(one.foreman, one.direct, 'p50Ms')
  const [manyName, oneName] = ['POST /jobs, 2 KB, 64 clients', 'POST /jobs, 2 KB, 1 client']
  return [
    told(`${manyName}: bare route with group commit, p50 / p99`, shown(many.bare)),
    told(`${manyName}: foreman, p50 / p99`, shown(many.foreman)),
    promised(`${manyName}: req/s beside bare route`, times(rate), '>= 0.50x', rate >= 0.5),
    told(`${oneName}: bare route with an insert per request, p50 / p99`, shown(one.direct)),
    told(`${oneName}: bare route with all rows of a job per request, p50 / p99`, shown(one.sameRows)),
    told(`${oneName}: foreman, p50 / p99`, shown(one.foreman)),
    told(`${oneName}: p50 beside all rows of a job per request`, times(ratio(one.foreman, one.sameRows, 'p50Ms'))),
    promised(`${oneName}: p50 beside an insert per request`, times(wait), '<= 1.00x', wait <= 1),
  ]
}

/** With a foreman of their own, whose worker waits for one chat that does not end. */
export const submitRows = async (subjects: Subjects): Promise<Row[]> => {
  const directory = temporaryDirectory()
  const foreman = await startForeman(subjects.target.port, { FOREMAN_MAX_QUEUE: '10000000' })
  const bare = await startServer('bare-submit.ts', join(directory.path, 'bare.db'))
  const held = new AbortController()
  const hold = fetch(`http://127.0.0.1:${foreman.port}/api/chat`, {
    method: 'POST',
    body: requests.heldChat(HOLD_MS).split('\r\n\r\n')[1] ?? '',
    signal: held.signal,
  }).catch(() => null)
  try {
    return await measure(subjects, foreman.port, bare.port)
  } finally {
    held.abort()
    await hold
    await bare.stop()
    await foreman.stop()
    directory.remove()
  }
}
