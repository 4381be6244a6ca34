/** The one gate: types, lint, build and every test but the long ones; it ends with `N passed, N failed` and must never hide a failure. */
import { parseArgs } from 'node:util'
import { runInLanes } from './lanes.ts'
import { runBun } from './step.ts'

const { values } = parseArgs({ options: { seed: { type: 'string' } } })
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
const print = (line: string) => console.log(line)
let passed = 0
let failed = 0

const gates: readonly (readonly [string, readonly string[]])[] = [
  ['types', ['node_modules/typescript/bin/tsc', '--noEmit']],
  ['lint', ['node_modules/@biomejs/biome/bin/biome', 'check', '.']],
  ['build', ['scripts/build.ts']],
]

for (const [name, args] of gates) {
  const { code, said, seconds } = await runBun(args)
  print(`${code === 0 ? 'ok  ' : 'FAIL'} ${name} ${seconds.toFixed(1)} s`)
  if (code === 0) passed += 1
  else {
    failed += 1
    print(said)
  }
}

const files = [...new Bun.Glob('test/**/*.test.ts').scanSync(`${import.meta.dir}/..`)]
  .filter((file) => !file.startsWith('test/long/'))
  .sort()
print(`tests in ${files.length} files, order: --seed ${seed}`)
const tests = await runInLanes({ files, seed, timeoutMs: 60_000, print })
passed += tests.passed
failed += tests.failed
print(`${tests.failed === 0 ? 'ok  ' : 'FAIL'} tests ${tests.seconds.toFixed(1)} s, ${tests.skipped} skipped`)
if (tests.skipped > 0)
  print(
    tests.said
      .split('\n')
      .filter((line) => /^\((skip|todo)\)/.test(line))
      .join('\n'),
  )
print(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
