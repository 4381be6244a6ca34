import { expect, test } from 'bun:test'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

test.each([
  [
    'npm',
    { npm_config_user_agent: 'npm/11.19.1 node/v20.20.2 linux x64 workspaces/false' },
    'npx -y bun@1.4.5 src/main.ts',
  ],
  ['Bun', { npm_config_user_agent: 'bun/1.4.5 npm/? node/v24.3.0 linux x64' }, 'bun src/main.ts'],
])(
  'the demo started with %s shows a streamed chat and commands that work there, and leaves neither a process nor a directory behind',
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
    expect(out).toMatch(/first token after \d+ ms/)
    expect(out).toContain(` ${foreman} status\n`)
    const [, url = '', target = ''] = /foreman (http:\S+) {3}simulated Ollama (http:\S+)/.exec(out) ?? []
    for (const address of [url, target]) {
      expect(address).toStartWith('http://127.0.0.1:')
      expect(fetch(address, { keepalive: false })).rejects.toThrow()
    }
  },
  30_000,
)

test('the gate of the build machine passes on the outcome and ends with the count', async () => {
  const bin = await mkdtemp(join(tmpdir(), 'foreman-ci-'))
  const outcomes = [
    { script: 'echo "3 passed, 0 failed"', code: 0, last: '3 passed, 0 failed' },
    { script: 'echo "3 passed, 2 failed"; echo "error: script"; exit 1', code: 1, last: '3 passed, 2 failed' },
    { script: 'echo "3 passed, 0 failed"; exit 7', code: 7, last: '3 passed, 1 failed' },
    { script: 'exit 1', code: 1, last: '0 passed, 1 failed' },
    { script: 'exit 0', code: 1, last: '0 passed, 1 failed' },
  ]
  for (const { script, code, last } of outcomes) {
    for (const name of ['bun', 'npx']) {
      await Bun.write(`${bin}/${name}`, `#!/bin/sh\n[ "$1" = --version ] && echo 1.4.5 && exit\n${script}\n`)
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
