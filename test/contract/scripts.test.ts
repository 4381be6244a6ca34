import { expect, test } from 'bun:test'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { alone, batchesOf, longest, runInLanes } from '../../scripts/lanes.ts'
import { countCases } from '../../scripts/test-run.ts'

const root = `${import.meta.dir}/../..`

test('the gate counts passed, failed and skipped cases of a report', () => {
  const xml = `<testsuites><testsuite>
    <testcase name="a" time="0" /><testcase name="b &gt; c"></testcase>
    <testcase name="d"><failure type="AssertionError" message="x&#10;">x</failure></testcase>
    <testcase name="e"><skipped message="TODO" /></testcase><testcase name="f"><error>boom</error></testcase>
  </testsuite></testsuites>`
  expect(countCases(xml)).toEqual({ passed: 2, failed: 2, skipped: 1 })
  expect(countCases('')).toEqual({ passed: 0, failed: 0, skipped: 0 })
})

test('every test file runs once, in another order with another seed; what wants the machine alone is not beside others', () => {
  const files = [...new Bun.Glob('test/**/*.test.ts').scanSync(root)]
  const beside = batchesOf(files, 1).flat()
  expect([...beside, ...alone].toSorted()).toEqual(files.toSorted())
  expect(batchesOf(files, 1)).toEqual(batchesOf(files, 1))
  expect(batchesOf(files, 2)).not.toEqual(batchesOf(files, 1))
  expect(beside.slice(0, longest.length)).toEqual(longest)
})

test('side by side no outcome is lost: passed, failed, skipped, a process that ends and a file that does not load', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'foreman-lanes-'))
  const bodies = {
    good: 'test("good", () => {}); test.skip("skipped", () => {})',
    bad: 'test("good", () => {}); test("bad", () => { console.log("words of the bad"); expect(1).toBe(2) })',
    ended: 'test("good", () => {}); test("ended", () => process.exit(0))',
    unread: 'throw new Error("words of the unread")',
  }
  const files = Object.keys(bodies).map((name) => relative(root, join(directory, `${name}.test.ts`)))
  for (const [name, body] of Object.entries(bodies))
    await Bun.write(join(directory, `${name}.test.ts`), `import { expect, test } from 'bun:test'\n${body}\n`)
  const printed: string[] = []
  const options = { seed: 1, timeoutMs: 5_000, print: (line: string) => printed.push(line) }
  const runs = await Promise.all(files.map((file) => runInLanes({ ...options, files: [file] })))
  expect(runs.map(({ passed, failed, skipped }) => [passed, failed, skipped])).toEqual([
    [1, 0, 1],
    [1, 1, 0],
    [0, 1, 0],
    [0, 1, 0],
  ])
  const together = await runInLanes({ ...options, files })
  expect([together.passed + together.failed > 0, together.failed >= 1]).toEqual([true, true])
  for (const words of ['words of the bad', 'words of the unread', 'the test run itself ended'])
    expect(printed.join('\n')).toContain(words)
  await rm(directory, { recursive: true })
})

test.each([
  [
    'npm',
    { npm_config_user_agent: 'npm/11.19.1 node/v20.20.2 linux x64 workspaces/false' },
    'npx -y bun@1.4.5 src/main.ts',
  ],
  ['Bun', { npm_config_user_agent: 'bun/1.4.5 npm/? node/v24.3.0 linux x64' }, 'bun src/main.ts'],
])(
  'the demo started with %s shows a conversation, a swap, a job and commands that work there, and leaves neither a process nor a directory behind',
  async (_, env, foreman) => {
    const child = Bun.spawn([process.execPath, 'scripts/demo.ts', '--once'], {
      cwd: root,
      env: { ...process.env, ...env },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    expect([await child.exited, err]).toEqual([0, ''])
    expect(out.match(/first token after \d+ ms/g)).toHaveLength(3)
    expect(out).toContain('Your name is Ann.')
    expect(out).toContain('\n  1 load; in the order of their coming it would have been 4.\n')
    expect([...out.matchAll(/^ {2}\d\. (\S+) +answered after/gm)].map(([, model]) => model)).toEqual([
      'llama3.2:3b',
      'llama3.2:3b',
      'qwen3:8b',
      'qwen3:8b',
    ])
    expect(out).toMatch(/\n {2}202 \{"job_id":"\w{26}",.*\n {2}queued\n(?: {2}loading\n)? {2}working\n {2}done\n/)
    expect(out).toMatch(/GET \/jobs\/\w{26}: "Air is a mixture of gases/)
    expect(out).toContain(` ${foreman} status\n`)
    const [, url = '', target = ''] = /foreman (http:\S+) {3}simulated Ollama (http:\S+)/.exec(out) ?? []
    for (const address of [url, target]) {
      expect(address).toStartWith('http://127.0.0.1:')
      expect(fetch(address, { keepalive: false })).rejects.toThrow()
    }
  },
  30_000,
)

test('the build machine runs every gate, sums their counts in its last line, and no failure gets lost', async () => {
  const bin = await mkdtemp(join(tmpdir(), 'foreman-ci-'))
  const clients = 'echo "20 passed, 0 failed"'
  const outcomes = [
    { check: 'echo "3 passed, 0 failed"', clients, code: 0, last: '23 passed, 0 failed' },
    { check: 'echo "3 passed, 2 failed"; echo "error: script"; exit 1', clients, code: 1, last: '23 passed, 2 failed' },
    { check: 'echo "3 passed, 0 failed"; exit 7', clients, code: 7, last: '23 passed, 1 failed' },
    { check: 'exit 1', clients, code: 1, last: '20 passed, 1 failed' },
    { check: 'exit 0', clients, code: 1, last: '20 passed, 1 failed' },
    { check: clients, clients: 'echo "1 passed, 2 failed"; exit 1', code: 1, last: '21 passed, 2 failed' },
    { check: 'exit 3', clients: 'exit 4', code: 3, last: '0 passed, 2 failed' },
  ]
  for (const { check, clients, code, last } of outcomes) {
    for (const name of ['bun', 'npx']) {
      const gates = `case "$*" in *"run check") ${check};; *"run check:clients") ${clients};; *) exit 9;; esac`
      await Bun.write(`${bin}/${name}`, `#!/bin/sh\n[ "$1" = --version ] && echo 1.4.5 && exit\n${gates}\n`)
      await chmod(`${bin}/${name}`, 0o755)
    }
    const child = Bun.spawn(['bash', '.ci/run'], {
      cwd: root,
      env: { PATH: `${bin}:/usr/bin:/bin` },
      stdin: 'ignore',
      stdout: 'pipe',
    })
    const out = await new Response(child.stdout).text()
    expect([await child.exited, out.trimEnd().split('\n').at(-1)]).toEqual([code, last])
  }
  await rm(bin, { recursive: true })
})
