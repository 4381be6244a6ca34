/** Real clients against the executable: each case is asked of the simulator directly and through foreman, and both must be the same; it ends with `N passed, N failed`. */
import { join } from 'node:path'
import { type ClientBench, type Side, startBench } from './clients/bench.ts'
import { judge, type Told } from './clients/judge.ts'
import { type Program, programs } from './clients/programs.ts'
import { rowOf, rowsIn, withRows } from './clients/table.ts'
import { eachLine, runBun } from './step.ts'

const print = (line: string) => console.log(line)
const flags = process.argv.slice(2)
const wanted = flags.filter((word) => !word.startsWith('--'))
const isLong = flags.includes('--long')
const WAIT_MS = isLong ? 20_000 : 1_500
// A client that waits for something that never comes is ended.
const PROGRAM_MS = isLong ? 600_000 : 120_000
const root = join(import.meta.dir, '..')
const docs = join(root, 'docs/reference/clients.md')

const ask = async (command: readonly string[], side: Side): Promise<{ told: Told[]; said: string }> => {
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, ...side.env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: PROGRAM_MS,
  })
  const told: Told[] = []
  const [said] = await Promise.all([
    new Response(child.stderr).text(),
    eachLine(child.stdout, (line) => {
      if (line.startsWith('{')) told.push(JSON.parse(line) as Told)
    }),
  ])
  return { told, said: (await child.exited) === 0 ? '' : said }
}

let passed = 0
let failed = 0
let skipped = 0
const rows: string[] = []

const count = (ok: boolean, what: string) => {
  if (ok) passed += 1
  else failed += 1
  if (!ok) print(`FAIL ${what}`)
}

const runProgram = async (program: Program, bench: ClientBench) => {
  const startedAt = performance.now()
  const prepared = await program.prepare()
  if (prepared.kind === 'missing') {
    // The build machine has everything: there a client that cannot be tried is a failure.
    if (process.env['CI'] === 'true') return count(false, `${program.name}: ${prepared.why}`)
    skipped += 1
    print(`skipped ${program.name}: ${prepared.why}`)
    return
  }
  const { command } = prepared
  const [direct, through] = await Promise.all([ask(command, bench.direct), ask(command, bench.through)])
  if (through.said !== '' || through.told.length === 0 || direct.told.length !== through.told.length)
    count(false, `${program.name}: ${direct.told.length} cases direct, ${through.told.length} through\n${through.said}`)
  const cases = through.told.map((told) => {
    const before = direct.told.find((one) => one.case === told.case)
    const verdict = before === undefined ? { ok: false, why: 'not asked directly' } : judge(before, told)
    count(verdict.ok, `${told.client} ${told.case}: ${verdict.why}`)
    return { told, verdict }
  })
  rows.push(rowOf(cases))
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
  print(
    `${cases.length > 0 && cases.every(({ verdict }) => verdict.ok) ? 'ok  ' : 'FAIL'} ${program.name}, ${cases.length} cases, ${seconds} s`,
  )
}

const built = await runBun(['scripts/build.ts'])
if (built.code !== 0) print(built.said)
count(built.code === 0, 'the build')
if (built.code === 0) {
  const chosen = programs.filter(({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
  const bench = await startBench(WAIT_MS)
  // What takes longest to install begins at once, and is awaited when its turn comes.
  for (const program of chosen) void program.prepare()
  try {
    for (const program of chosen) await runProgram(program, bench)
  } finally {
    await bench.close()
  }
  const document = await Bun.file(docs).text()
  if (flags.includes('--write')) await Bun.write(docs, withRows(document, rows))
  else for (const row of rows) count(rowsIn(document).includes(row), `docs/reference/clients.md lacks: ${row}`)
}
print(`${skipped} clients skipped`)
print(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
