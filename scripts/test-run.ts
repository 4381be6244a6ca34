/** Runs test files and counts them from the JUnit report, because only that survives every way a run can end. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runBun } from './step.ts'

export interface TestRun {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  /** Everything the tests printed. */
  readonly said: string
}

export interface TestRunOptions {
  /** Paths from the repository's root. */
  readonly files: readonly string[]
  /** The order of files and tests. */
  readonly seed: number
  readonly timeoutMs: number
  readonly print: (line: string) => void
}

/** One bun process for all files, in random order; a file is printed when it is done, with all its output if it failed. */
export const runTests = async ({ files, seed, timeoutMs, print }: TestRunOptions): Promise<TestRun> => {
  const directory = await mkdtemp(join(tmpdir(), 'foreman-check-'))
  const report = join(directory, 'junit.xml')
  const progress = createProgress(print)
  try {
    const run = await runBun(
      [
        'test',
        `--seed=${seed}`,
        `--timeout=${timeoutMs}`,
        '--reporter=junit',
        `--reporter-outfile=${report}`,
        ...files.map((file) => `./${file}`),
      ],
      { onLine: progress.take },
    )
    progress.end()
    const counted = (await Bun.file(report).exists()) ? countCases(await Bun.file(report).text()) : null
    const { passed, failed, skipped } = counted ?? { passed: 0, failed: 0, skipped: 0 }
    // A run that ended badly without a failed case (a crash, an error between tests) is a failure of its own.
    const crashed = (run.code !== 0 && failed === 0) || counted === null
    if (crashed)
      print(`the test run itself ended with code ${run.code}:\n${run.said.split('\n').slice(-40).join('\n')}`)
    return { passed, failed: failed + Number(crashed), skipped, seconds: run.seconds, said: run.said }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Counts the cases of a JUnit report. */
export const countCases = (xml: string): { passed: number; failed: number; skipped: number } => {
  const count = { passed: 0, failed: 0, skipped: 0 }
  for (const [, selfClosing, body] of xml.matchAll(/<testcase\b[^>]*?(?:(\/)>|>([\s\S]*?)<\/testcase>)/g)) {
    if (!selfClosing && /<(failure|error)\b/.test(body ?? '')) count.failed += 1
    else if (!selfClosing && /<skipped\b/.test(body ?? '')) count.skipped += 1
    else count.passed += 1
  }
  return count
}

const createProgress = (print: (line: string) => void) => {
  let file = ''
  let lines: string[] = []
  let ran = 0
  let startedAt = 0
  const end = () => {
    // A process that ends leaves a file without a word.
    const isSilent = ran === 0 && !lines.some((line) => /^\((skip|todo)\)/.test(line))
    const failed = isSilent || lines.some((line) => line.startsWith('(fail)') || /^\s*error: /.test(line))
    if (file !== '')
      print(`  ${failed ? 'FAIL' : 'ok  '} ${file} (${ran}) ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`)
    if (failed) print(lines.map((line) => `       ${line}`).join('\n'))
    file = ''
    lines = []
    ran = 0
  }
  const take = (line: string) => {
    const header = /^(\S+\.(?:test|long)\.ts):$/.exec(line)
    if (header) {
      end()
      file = header[1] ?? ''
      startedAt = performance.now()
      return
    }
    // bun repeats the failures below its last file; they are not that file's.
    if (/^\s*(\d+ tests? (failed|skipped|todo)|--seed=)/.test(line)) end()
    if (file === '') return
    if (/^\((pass|fail)\)/.test(line)) ran += 1
    if (!line.startsWith('(pass)')) lines.push(line)
  }
  return { take, end }
}
