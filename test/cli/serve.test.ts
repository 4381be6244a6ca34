import { describe, expect, test } from 'bun:test'
import { createServeCommand, type ServeDeps, type Started } from '../../src/cli/serve.ts'
import type { Config } from '../../src/config/config.ts'
import { createIo } from '../support/command-io.ts'

const home = { HOME: '/home/ada' }

const createDeps = ({ refuse, stuck = false }: { refuse?: string; stuck?: boolean } = {}) => {
  const calls: string[] = []
  const configs: Config[] = []
  const deps: ServeDeps = {
    startForeman: async (config): Promise<Started> => {
      configs.push(config)
      if (refuse !== undefined) return { kind: 'refused', message: refuse }
      return {
        kind: 'started',
        url: 'http://127.0.0.1:8080',
        stop: async () => {
          calls.push('stop')
          if (stuck) await new Promise<never>(() => undefined)
        },
        kill: () => void calls.push('kill'),
      }
    },
    startSimulator: async () => {
      calls.push('simulator')
      return { url: 'http://127.0.0.1:40000', stop: async () => void calls.push('simulator stop') }
    },
  }
  return { calls, configs, command: createServeCommand(async () => deps) }
}

describe('foreman serve', () => {
  test('prints every problem of the settings, exits 2 and starts nothing', async () => {
    const io = createIo({ ...home, FOREMAN_POLL_INTERVAL: 'fast', FOREMAN_TOKEN: 'hunter 2' })
    const { command, configs } = createDeps()
    expect(await command.run([], io)).toBe(2)
    expect(io.err().trim().split('\n')).toHaveLength(2)
    expect(io.err()).toContain('foreman: FOREMAN_POLL_INTERVAL is "fast": expected a duration')
    expect(io.err()).not.toContain('hunter')
    expect(configs).toEqual([])
  })

  test('runs until SIGTERM, then stops in order and exits 0', async () => {
    const io = createIo({ ...home })
    const { command, calls } = createDeps()
    const code = command.run([], io)
    await io.untilOut('"serving"')
    io.signal('SIGTERM')
    expect(await code).toBe(0)
    expect(calls).toEqual(['stop'])
    expect(
      io
        .out()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event),
    ).toEqual(['serving', 'stopping'])
  })

  test('a second signal ends it at once with 130', async () => {
    const io = createIo({ ...home })
    const { command, calls } = createDeps({ stuck: true })
    const code = command.run([], io)
    await io.untilOut('"serving"')
    io.signal('SIGTERM')
    await io.untilOut('"stopping"')
    io.signal('SIGINT')
    expect(await code).toBe(130)
    expect(calls).toEqual(['stop', 'kill'])
  })

  test('SIGHUP drains what runs in a terminal', async () => {
    const io = createIo({ ...home })
    const { command, calls } = createDeps()
    const code = command.run([], io)
    await io.untilOut('"serving"')
    io.hangup()
    expect(await code).toBe(0)
    expect(calls).toEqual(['stop'])
  })

  test('SIGHUP is noted and otherwise ignored where there is no terminal', async () => {
    const io = createIo({ ...home }, { stdin: '' })
    const { command, calls } = createDeps()
    const code = command.run([], io)
    await io.untilOut('"serving"')
    io.hangup()
    io.hangup()
    await io.untilOut('"hangup_ignored"')
    expect(calls).toEqual([])
    io.signal('SIGTERM')
    expect(await code).toBe(0)
    expect(calls).toEqual(['stop'])
  })

  test('flags win over variables, and --json writes JSON on a terminal too', async () => {
    const io = createIo({ ...home, FOREMAN_ADDR: ':1' }, { isTerminal: true })
    const { command, configs } = createDeps({ refuse: 'enough' })
    const args = ['--addr', '127.0.0.1:9000', '--target', 'gpu-box', '--data-dir', '/srv/foreman', '--json']
    expect(await command.run(args, io)).toBe(1)
    const [config] = configs
    expect([config?.addr.port, config?.ollamaUrl, config?.dataDir]).toEqual([
      9000,
      'http://gpu-box:11434',
      '/srv/foreman',
    ])
    const lines = createIo({ ...home, FOREMAN_ADDR: ':8080' }, { isTerminal: true })
    await command.run(['--json'], lines)
    expect(JSON.parse(lines.out().split('\n')[0] ?? '')).toMatchObject({ event: 'setting' })
  })

  test('a wrong flag is named as a flag', async () => {
    const io = createIo({ ...home })
    expect(await createDeps().command.run(['--target', '?'], io)).toBe(2)
    expect(io.err()).toStartWith('foreman: --target is "?": expected a URL')
  })

  test('a refusal is one sentence and exit code 1', async () => {
    const io = createIo({ ...home })
    const { command } = createDeps({ refuse: 'another foreman (pid 7) already runs on /x: one per data directory' })
    expect(await command.run([], io)).toBe(1)
    expect(io.err()).toBe('foreman: another foreman (pid 7) already runs on /x: one per data directory\n')
  })

  test('warns in the log when everyone may use it', async () => {
    const io = createIo({ ...home, FOREMAN_ADDR: ':8080' })
    const { command } = createDeps({ refuse: 'enough' })
    await command.run([], io)
    expect(JSON.parse(io.out().split('\n')[0] ?? '')).toMatchObject({
      level: 'warn',
      event: 'setting',
      warning: expect.stringContaining('FOREMAN_TOKEN'),
    })
  })

  test('an error that nobody caught is logged and the daemon goes on', async () => {
    const io = createIo({ ...home, FOREMAN_TOKEN: 's3cret' })
    const { command } = createDeps()
    const code = command.run([], io)
    await io.untilOut('"serving"')
    io.stray(new Error('boom s3cret'))
    expect(io.out()).toContain('"event":"stray_error"')
    expect(io.out()).not.toContain('s3cret')
    io.signal('SIGINT')
    expect(await code).toBe(0)
  })

  test('--simulate puts a simulator behind it and stops that last', async () => {
    const io = createIo({ ...home, FOREMAN_OLLAMA_URL: 'http://gpu-box:11434' })
    const { command, calls, configs } = createDeps()
    const code = command.run(['--simulate'], io)
    await io.untilOut('"serving"')
    io.signal('SIGTERM')
    expect(await code).toBe(0)
    expect(configs[0]?.ollamaUrl).toBe('http://127.0.0.1:40000')
    expect(calls).toEqual(['simulator', 'stop', 'simulator stop'])
    expect(io.out()).toContain('--simulate takes its place')
  })

  test('--simulate leaves no simulator behind when foreman does not start', async () => {
    const { command, calls } = createDeps({ refuse: 'no' })
    expect(await command.run(['--simulate'], createIo({ ...home }))).toBe(1)
    expect(calls).toEqual(['simulator', 'simulator stop'])
  })
})
