/** The tests that take minutes or hours, and the figures they measured as one table; it must never run beside a build. */
import { runTests } from './test-run.ts'

const print = (line: string) => console.log(line)
const wanted = process.argv.slice(2)
const files = [...new Bun.Glob('test/long/**/*.{test,long}.ts').scanSync(`${import.meta.dir}/..`)]
  .filter((file) => wanted.length === 0 || wanted.some((word) => file.includes(word)))
  .sort()
if (files.length === 0) {
  print(wanted.length === 0 ? 'there are no long tests yet' : `no file of test/long matches ${wanted.join(' ')}`)
  print(`0 passed, ${wanted.length === 0 ? 0 : 1} failed`)
  process.exit(wanted.length === 0 ? 0 : 1)
}

const seed = Math.floor(Math.random() * 2 ** 31)
print(`long tests in ${files.length} files, order: --seed ${seed}`)
const run = await runTests({ files, seed, timeoutMs: 6 * 3_600_000, print })

/** What test/support/figures.ts prints: the word figure, the promise, what was measured, the value; tabs between. */
const figures = run.said
  .split('\n')
  .filter((line) => line.startsWith('figure\t'))
  .map((line) => line.split('\t').slice(1))
if (figures.length > 0) {
  print('\n| promise | measured | figure |\n|---|---|---|')
  for (const cells of figures.sort((one, other) => (one[0] ?? '').localeCompare(other[0] ?? ''))) {
    print(`| ${cells.join(' | ')} |`)
  }
}
print(`\n${run.passed} passed, ${run.failed} failed`)
process.exit(run.failed === 0 ? 0 : 1)
