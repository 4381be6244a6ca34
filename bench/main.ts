/** `bun run bench`: measures foreman against what it stands between and prints one table; it must never leave a process behind. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { backlogRows } from './backlog.ts'
import { startForeman, startLoad, startServer } from './children.ts'
import { deliveryRows } from './deliveries.ts'
import { etaRows } from './eta.ts'
import { eventRows } from './events.ts'
import { hookRows } from './hooks.ts'
import { largeRows } from './large.ts'
import { bypassRows, queuedRows, type Subjects } from './paths.ts'
import { asDocument, asText } from './report.ts'
import { type Amounts, fullAmounts, quickAmounts, type Row } from './row.ts'
import { startupRows } from './startup.ts'
import { streamingRows } from './streaming.ts'
import { submitRows } from './submits.ts'
import { sweepRows } from './sweep.ts'
import { waiterRows } from './waiters.ts'

interface Section {
  readonly name: string
  readonly title: (amounts: Amounts) => string
  readonly rows: (subjects: Subjects) => Promise<Row[]>
}

const sections: readonly Section[] = [
  { name: 'streaming', title: () => 'first token and model list', rows: streamingRows },
  { name: 'large', title: () => 'much at once', rows: ({ amounts }) => largeRows(amounts) },
  { name: 'bypass', title: () => 'bypass beside a bare proxy', rows: bypassRows },
  { name: 'queued', title: () => 'queue beside a bare proxy', rows: queuedRows },
  { name: 'submit', title: () => 'jobs: submit', rows: submitRows },
  { name: 'events', title: () => 'jobs: events', rows: eventRows },
  { name: 'eta', title: () => 'jobs: ETA', rows: ({ amounts }) => etaRows(amounts) },
  { name: 'receivers', title: () => 'jobs: receivers that hang', rows: hookRows },
  { name: 'deliveries', title: () => 'jobs: receivers that are well, and that are down', rows: deliveryRows },
  { name: 'waiters', title: ({ waiters }) => `${waiters} waiting clients`, rows: waiterRows },
  {
    name: 'start',
    title: () => 'start, memory and size',
    rows: ({ target, amounts }) => startupRows(target.port, amounts),
  },
  {
    name: 'backlog',
    title: ({ backlog }) => `a backlog of ${backlog.toLocaleString('en-US')} (a million takes about 30 s)`,
    rows: ({ amounts }) => backlogRows(amounts.backlog),
  },
  { name: 'sweep', title: () => 'jobs: sweep (about seven minutes)', rows: ({ amounts }) => sweepRows(amounts) },
]

const help = `bun run bench [--quick] [--only name,...] [--write]

  --quick   a few requests each and a short backlog: does it run at all
  --only    these sections: ${sections.map(({ name }) => name).join(', ')}
  --write   writes docs/performance.md
`

const measure = async (subjects: Subjects, chosen: readonly Section[]): Promise<Row[]> => {
  const rows: Row[] = []
  for (const { title, rows: rowsOf } of chosen) {
    process.stderr.write(`${title(subjects.amounts)} …\n`)
    rows.push(...(await rowsOf(subjects)))
  }
  return rows
}

/** The sections that were named, all without a name; null when one is not known. */
const choose = (names: string | undefined): readonly Section[] | null => {
  if (names === undefined) return sections
  const wanted = names.split(',')
  const unknown = wanted.some((name) => sections.every((section) => section.name !== name))
  return unknown ? null : sections.filter(({ name }) => wanted.includes(name))
}

const run = async (amounts: Amounts, chosen: readonly Section[]): Promise<Row[]> => {
  const started: { stop(): Promise<void> }[] = []
  const keep = <T extends { stop(): Promise<void> }>(child: T): T => {
    started.unshift(child)
    return child
  }
  try {
    const target = keep(await startServer('target.ts'))
    const bare = keep(await startServer('bare-proxy.ts', `http://127.0.0.1:${target.port}`))
    const foreman = keep(await startForeman(target.port))
    const load = keep(await startLoad())
    return await measure({ target, bare, foreman, load, amounts }, chosen)
  } finally {
    for (const child of started) await child.stop()
  }
}

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    only: { type: 'string' },
    write: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})
const chosen = choose(values.only)
if (values.help) {
  console.log(help)
} else if (chosen === null || (values.write && values.only !== undefined)) {
  console.error(chosen === null ? `--only ${values.only} names no section\n` : '--write needs all sections\n')
  console.error(help)
  process.exitCode = 2
} else {
  const rows = await run(values.quick ? quickAmounts : fullAmounts, chosen)
  console.log(asText(rows))
  if (values.write) await Bun.write(join(import.meta.dir, '../docs/performance.md'), asDocument(rows, new Date()))
}
