/** `bun run bench`: measures foreman against what it stands between and prints one table; it must never leave a process behind. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { backlogRows } from './backlog.ts'
import { drainRows } from './deliveries.ts'
import { etaRows } from './eta.ts'
import { eventRows } from './events.ts'
import { hookRows } from './hooks.ts'
import { longTableRows } from './long-table.ts'
import { rateSections } from './rates.ts'
import { asDocument, asText } from './report.ts'
import { restingRows } from './resting.ts'
import { type Amounts, fullAmounts, quickAmounts, type Row, type Section } from './row.ts'
import { startupRows } from './startup.ts'
import { streamingRows } from './streaming.ts'
import { trafficRows } from './traffic.ts'
import { waiterRows } from './waiters.ts'

const sections: readonly Section[] = [
  { name: 'first token and model list', rows: streamingRows },
  ...rateSections,
  { name: 'events of a job', rows: eventRows },
  { name: 'ETA', rows: etaRows },
  { name: 'receivers that hang', rows: hookRows },
  { name: 'drain with a receiver', rows: drainRows },
  { name: 'idle and owing', rows: restingRows },
  { name: 'waiting clients', rows: waiterRows },
  { name: 'start and memory', rows: startupRows },
  { name: 'traffic', rows: trafficRows },
  { name: 'backlog', rows: backlogRows },
  { name: 'long table and sweep', rows: longTableRows },
]

const help = `bun run bench [--row NAME] [--rounds N] [--quick] [--write]

  --row NAME   only what has NAME in its name; may be given again:
               ${sections.map(({ name }) => name).join('\n               ')}
  --rounds N   rounds of what takes turns; ${fullAmounts.rounds} without
  --quick      moments of load and short tables: does it run at all
  --write      writes docs/performance.md
`

const measure = async (chosen: readonly Section[], amounts: Amounts): Promise<Row[]> => {
  const rows: Row[] = []
  for (const { name, rows: rowsOf } of chosen) {
    const startedAt = performance.now()
    rows.push(...(await rowsOf(amounts)))
    process.stderr.write(`${name}: ${((performance.now() - startedAt) / 1_000).toFixed(0)} s\n`)
  }
  return rows
}

const { values } = parseArgs({
  options: {
    row: { type: 'string', multiple: true },
    rounds: { type: 'string' },
    quick: { type: 'boolean' },
    write: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})
const wanted = values.row
const chosen = sections.filter(({ name }) => wanted === undefined || wanted.some((word) => name.includes(word)))
const amounts = values.quick ? quickAmounts : fullAmounts
const rounds = Number(values.rounds ?? amounts.rounds)
const problem =
  chosen.length === 0
    ? `--row ${wanted?.join(', ')} is in no name`
    : !Number.isInteger(rounds) || rounds < 1
      ? `--rounds ${values.rounds} is no number of rounds`
      : values.write && (wanted !== undefined || values.quick)
        ? '--write needs all rows, whole'
        : null
if (values.help) {
  console.log(help)
} else if (problem !== null) {
  console.error(`${problem}\n\n${help}`)
  process.exitCode = 2
} else {
  const rows = await measure(chosen, { ...amounts, rounds })
  console.log(asText(rows))
  if (values.write) await Bun.write(join(import.meta.dir, '../docs/performance.md'), asDocument(rows, new Date()))
}
