/** Bypass and queue against direct calls and a bare proxy; the three take turns, so that a busy moment hits them all. */
import type { Listening, LoadGenerator } from './children.ts'
import type { LoadResult } from './load.ts'
import { requests } from './requests.ts'
import { type Amounts, ms, perSecond, promised, type Row, times, told } from './row.ts'
import { median } from './statistics.ts'

export interface Subjects {
  readonly target: Listening
  readonly bare: Listening
  readonly foreman: Listening
  readonly load: LoadGenerator
  readonly amounts: Amounts
}

type Name = 'direct' | 'bare' | 'foreman'
type Measured = Record<Name, LoadResult[]>

const compare = async (subjects: Subjects, request: string, connections: 1 | 16): Promise<Measured> => {
  const { target, bare, foreman, load, amounts } = subjects
  const count = connections === 1 ? amounts.requests.one : amounts.requests.sixteen
  const measured: Measured = { direct: [], bare: [], foreman: [] }
  const turns: [Name, number][] = [
    ['direct', target.port],
    ['bare', bare.port],
    ['foreman', foreman.port],
  ]
  for (let round = 0; round < amounts.rounds; round++) {
    // The first round warms each process up for as long as it measures.
    const warmup = round === 0 ? count : Math.ceil(count / 10)
    for (const [name, port] of turns) {
      const result = await load.run({ port, request, connections, requests: count, warmup })
      if (result.failures > 0) throw new Error(`${result.failures} answers of ${name} were not 200`)
      measured[name].push(result)
    }
  }
  return measured
}

/** The median over the rounds. */
export const medianOf = (results: readonly LoadResult[], field: 'p50Ms' | 'p99Ms' | 'perSecond') =>
  median(results.map((result) => result[field]))

/** The median over the rounds of the difference within a round. */
const added = (results: readonly LoadResult[], beside: readonly LoadResult[]): number =>
  median(results.map((result, i) => result.p50Ms - (beside[i]?.p50Ms ?? Number.NaN)))

const absolute = (name: string, { direct, bare, foreman }: Measured): Row[] => {
  const shown = (results: LoadResult[]) =>
    `${ms(medianOf(results, 'p50Ms'))} / ${ms(medianOf(results, 'p99Ms'))}, ${perSecond(medianOf(results, 'perSecond'))}`
  return [
    told(`${name}: direct, p50 / p99`, shown(direct)),
    told(`${name}: bare proxy, p50 / p99`, shown(bare)),
    told(`${name}: foreman, p50 / p99`, shown(foreman)),
  ]
}

const bypassRowsOf = async (subjects: Subjects, connections: 1 | 16): Promise<Row[]> => {
  const name = `bypass /api/embed, ${connections} client${connections === 1 ? '' : 's'}`
  const measured = await compare(subjects, requests.embed, connections)
  const { direct, bare, foreman } = measured
  const latency = added(foreman, direct) / added(bare, direct)
  const rate = medianOf(foreman, 'perSecond') / medianOf(bare, 'perSecond')
  return [
    ...absolute(name, measured),
    promised(`${name}: added p50 beside bare proxy`, times(latency), '<= 1.30x', latency <= 1.3),
    promised(`${name}: req/s beside bare proxy`, times(rate), '>= 0.80x', rate >= 0.8),
  ]
}

/** A call past the queue. */
export const bypassRows = async (subjects: Subjects): Promise<Row[]> => [
  ...(await bypassRowsOf(subjects, 1)),
  ...(await bypassRowsOf(subjects, 16)),
]

/** A call through the queue. */
export const queuedRows = async (subjects: Subjects): Promise<Row[]> => {
  const one = await compare(subjects, requests.chat, 1)
  const extraMs = added(one.foreman, one.bare)
  const sixteen = await compare(subjects, requests.chat, 16)
  const rate = medianOf(sixteen.foreman, 'perSecond')
  const name = 'queued /api/chat'
  return [
    ...absolute(`${name}, 1 client`, one),
    promised(`${name}, 1 client: p50 on top of bare proxy`, ms(extraMs), '<= 0.150 ms', extraMs <= 0.15),
    ...absolute(`${name}, 16 clients`, sixteen),
    promised(`${name}, 16 clients: req/s`, perSecond(rate), '>= 4,000 req/s', rate >= 4_000),
  ]
}
