/** Real clients against the executable: each case is asked of the simulator directly and through foreman, and both must be the same; it ends with `N passed, N failed`. */
import { join } from 'node:path'
import { type ClientBench, type Side, startBench } from './clients/bench.ts'
import { judge, standardFor, type Told } from './clients/judge.ts'
import { type Program, programs } from './clients/programs.ts'
import {
  callsOf,
  failureRows,
  type Judged,
  rowOf,
  rowsIn,
  streamsOf,
  type TableName,
  untriedFailures,
  withRows,
} from './clients/table.ts'
import { gaps } from './clients/wanted.ts'
import { eachLine, runBun } from './step.ts'

const print = (line: string) => console.log(line)
const flags = process.argv.slice(2)
const wanted = flags.filter((word) => !word.startsWith('--'))
const isLong = flags.includes('--long')
const WAIT_MS = isLong ? 20_000 : 1_500
const LIMIT_MS = 2_000
// A client that waits for something that never comes is ended.
const PROGRAM_MS = isLong ? 900_000 : 180_000
// Most of the time is waiting; more of them side by side would disturb each other's limits of a second.
const LANES = 3
const root = join(import.meta.dir, '..')
const docs = join(root, 'docs/reference/clients.md')

const asking = new Set<Bun.Subprocess>()

const ask = async (command: readonly string[], side: Side): Promise<{ told: Told[]; said: string }> => {
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, ...side.env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: PROGRAM_MS,
  })
  asking.add(child)
  const told: Told[] = []
  const [said] = await Promise.all([
    new Response(child.stderr).text(),
    eachLine(child.stdout, (line) => {
      if (line.startsWith('{')) told.push(JSON.parse(line) as Told)
    }),
  ])
  const code = await child.exited
  asking.delete(child)
  return { told, said: code === 0 ? '' : said }
}

let passed = 0
let failed = 0
let skipped = 0

const count = (ok: boolean, what: string) => {
  if (ok) passed += 1
  else failed += 1
  if (!ok) print(`FAIL ${what}`)
}

const judged = (direct: readonly Told[], told: Told): Judged => {
  const before = direct.find((one) => one.case === standardFor(told.case))
  const verdict = before === undefined ? { ok: false, why: 'not asked directly' } : judge(before, told)
  count(verdict.ok, `${told.client} ${told.case}: ${verdict.why}`)
  return { told, verdict }
}

/** Every case of one program; null where it cannot run here. */
const runProgram = async (program: Program, bench: ClientBench): Promise<Judged[] | null> => {
  const startedAt = performance.now()
  const prepared = await program.prepare()
  if (prepared.kind === 'missing') {
    // Only Go and Python can be missing: the clients of npm come with the repository.
    skipped += 1
    print(`skipped ${program.name}: ${prepared.why}`)
    return null
  }
  const { command } = prepared
  const [direct, through] = await Promise.all([ask(command, bench.direct), ask(command, bench.through)])
  if (through.said !== '' || through.told.length === 0 || direct.told.length !== through.told.length)
    count(false, `${program.name}: ${direct.told.length} cases direct, ${through.told.length} through\n${through.said}`)
  const cases = through.told.map((told) => judged(direct.told, told))
  const lacking = gaps(through.told)
  count(lacking.length === 0, `${program.name} was not asked: ${lacking.join('; ')}`)
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
  const isRight = lacking.length === 0 && cases.every(({ verdict }) => verdict.ok)
  print(`${isRight ? 'ok  ' : 'FAIL'} ${program.name}, ${cases.length} cases, ${seconds} s`)
  return cases
}

/** Each lane takes the next program, on servers of its own. */
const runAll = async (chosen: readonly Program[]): Promise<Judged[][]> => {
  const results = new Map<Program, Judged[] | null>()
  // What takes longest stands last in the table, and must not be begun last.
  const waiting = [...chosen]
  const lane = async () => {
    const bench = await startBench({ waitMs: WAIT_MS, limitMs: LIMIT_MS })
    try {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
        results.set(next, await runProgram(next, bench))
    } finally {
      await bench.close()
    }
  }
  await Promise.all(Array.from({ length: Math.min(LANES, chosen.length) }, lane))
  return chosen.map((program) => results.get(program) ?? []).filter((cases) => cases.length > 0)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => {
  for (const child of asking) child.kill()
})

const built = await runBun(['scripts/build.ts'])
if (built.code !== 0) print(built.said)
count(built.code === 0, 'the build')
if (built.code === 0) {
  const chosen = programs.filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
  // What takes longest to install begins at once, and is awaited when its turn comes.
  for (const program of chosen) void program.prepare()
  const ran = await runAll(chosen)
  const tables: [TableName, string[]][] = [
    ['clients', ran.map(rowOf)],
    ['calls', ran.map(callsOf)],
    ['streams', ran.map(streamsOf)],
  ]
  // Over all clients or not at all.
  if (ran.length === programs.length) {
    const untried = untriedFailures(ran.flat())
    count(untried.length === 0, `failures in the middle that no client was asked: ${untried.join('; ')}`)
    tables.push(['failures', failureRows(ran.flat())])
  }
  let document = await Bun.file(docs).text()
  for (const [name, rows] of tables)
    if (flags.includes('--write')) document = withRows(document, name, rows)
    else for (const row of rows) count(rowsIn(document, name).includes(row), `docs/reference/clients.md lacks: ${row}`)
  if (flags.includes('--write')) await Bun.write(docs, document)
}
print(`${skipped} clients skipped`)
print(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
