import { describe, expect, test } from 'bun:test'
import { runCommandLine } from '../../src/cli/run.ts'
import { verbs } from '../../src/cli/verbs.ts'
import { createIo } from '../support/command-io.ts'

describe('the command line', () => {
  test.each([[[]], [['--help']], [['-h']], [['help']]])('%j prints every verb and exits 0', async (argv) => {
    const io = createIo()
    expect(await runCommandLine(argv, io)).toBe(0)
    for (const { name, summary } of verbs) expect(io.out()).toContain(`${name.padEnd(13)}${summary}`)
    expect(io.err()).toBe('')
  })

  test('with an unknown verb exits 2 and names the nearest', async () => {
    const io = createIo()
    expect(await runCommandLine(['sreve'], io)).toBe(2)
    expect(io.err()).toBe('foreman: there is no verb "sreve", did you mean serve? (foreman --help lists them)\n')
    expect(io.out()).toBe('')
  })

  test.each(['constructor', '__proto__', '', '--serve'])('with the verb "%s" exits 2', async (word) => {
    expect(await runCommandLine([word], createIo())).toBe(2)
  })

  test('--version is the verb version', async () => {
    const io = createIo()
    expect(await runCommandLine(['--version'], io)).toBe(0)
    expect(io.out()).toMatch(/^foreman 9\.8\.7 \(bun .+, test-arch\)\n$/)
  })
})

describe.each(verbs.map(({ name }) => [name] as const))('foreman %s', (name) => {
  test('--help teaches by example and names its exit codes', async () => {
    const io = createIo()
    expect(await runCommandLine([name, '--help'], io)).toBe(0)
    expect(io.out()).toStartWith(`foreman ${name} `)
    expect(io.out()).toContain(`Usage:  foreman ${name}`)
    expect(io.out()).toMatch(/Examples?:|HEALTHCHECK/)
    if (name !== 'version') expect(io.out()).toContain('Exit codes:')
    expect(io.out()).toContain('--json')
    const asked = createIo()
    await runCommandLine(['help', name], asked)
    expect(asked.out()).toBe(io.out())
  })

  test('refuses an unknown flag and a word too many without doing anything', async () => {
    // Any word may be a model.
    for (const args of name === 'ensure' ? [['--jsno']] : [['--jsno'], ['word']]) {
      const io = createIo()
      expect(await runCommandLine([name, ...args], io)).toBe(name === 'healthcheck' ? 1 : 2)
      expect(io.err()).toMatch(/^foreman: .+--help tells more/)
      expect(io.out()).toBe('')
    }
  })
})
