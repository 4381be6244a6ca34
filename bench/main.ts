/** `bun run bench`: measures foreman against what it stands between and prints one table; it must never leave a process behind. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { backlogRows } from './backlog.ts'
import { startForeman, startLoad, startServer } from './children.ts'
import { etaRows } from './eta.ts'
import { eventRows } from './events.ts'
import { hookRows } from './hooks.ts'
import { pathRows, type Subjects } from './paths.ts'
import { asDocument, asText } from './report.ts'
import { type Amounts, fullAmounts, quickAmounts, type Row } from './row.ts'
import { startupRows } from './startup.ts'
import { streamingRows } from './streaming.ts'
import { submitRows } from './submits.ts'
import { sweepRows } from './sweep.ts'
import { waiterRows } from './waiters.ts'

const help = `bun run bench [--quick] [--write]

  --quick   a few requests each and a short backlog: does it run at all
  --write   writes docs/performance.md
`

const progress = (text: string) => process.stderr.write(`${text}\n`)

const measure = async (subjects: Subjects): Promise<Row[]> => {
  const { amounts, target } = subjects
  progress('first token and model list …')
  const rows = await streamingRows(subjects)
  progress('bypass and queue …')
  rows.push(...(await pathRows(subjects)))
  progress('jobs: submit, events and ETA …')
  rows.push(...(await submitRows(subjects)))
  rows.push(...(await eventRows(subjects)))
  rows.push(...(await etaRows(amounts)))
  progress('jobs: receivers that hang …')
  rows.push(...(await hookRows(subjects)))
  progress(`${amounts.waiters} waiting clients …`)
  rows.push(...(await waiterRows(subjects)))
  progress('start, memory and size …')
  rows.push(...(await startupRows(target.port, amounts)))
  progress(`a backlog of ${amounts.backlog.toLocaleString('en-US')} (a million takes about 30 s) …`)
  rows.push(...(await backlogRows(amounts.backlog)))
  if (amounts.swept > 0) progress('jobs: sweep (about a minute) …')
  rows.push(...(await sweepRows(amounts)))
  return rows
}

const run = async (amounts: Amounts): Promise<Row[]> => {
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
    return await measure({ target, bare, foreman, load, amounts })
  } finally {
    for (const child of started) await child.stop()
  }
}

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, write: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
})
if (values.help) {
  console.log(help)
} else {
  const rows = await run(values.quick ? quickAmounts : fullAmounts)
  console.log(asText(rows))
  if (values.write) await Bun.write(join(import.meta.dir, '../docs/performance.md'), asDocument(rows, new Date()))
}
