import { describe, expect, test } from 'bun:test'
import { createSimulateCommand, simulatorOptions } from '../../src/cli/simulate.ts'
import { defaultModels, startSimulator } from '../../src/simulator/simulator.ts'
import { createIo } from '../support/command-io.ts'

const command = createSimulateCommand(startSimulator)

describe('the flags of foreman simulate', () => {
  test('without any give a believable Ollama on its usual port', () => {
    expect(simulatorOptions({})).toEqual({
      hostname: '127.0.0.1',
      port: 11_434,
      models: defaultModels,
      loadMs: 1500,
      firstTokenMs: 200,
      tokensPerSecond: 40,
      maxLoadedModels: 1,
      numParallel: 1,
      curve: [1, 1.6, 2.1, 2.5],
      deadlock: true,
      lingerMs: 0,
      speech: 'words',
      maxQueue: 512,
      controlPort: null,
    })
  })

  test('turn every knob', () => {
    const options = simulatorOptions({
      addr: ':0',
      models: 'tiny, big:70b=40GiB,my-embed=1000,vl=:mllama,qwen3-vl:8b',
      load: '0',
      'first-token': '1s',
      'tokens-per-second': '0',
      'max-loaded-models': '2',
      parallel: '4',
      curve: '1, 0.9',
      speech: 'tokens',
      'no-deadlock': true,
      linger: '2ms',
      'max-queue': '5',
      'control-port': '0',
    })
    expect(options).toEqual({
      hostname: '::',
      port: 0,
      models: [
        { name: 'tiny' },
        { name: 'big:70b', sizeBytes: 40 * 1024 ** 3 },
        { name: 'my-embed', sizeBytes: 1000, capabilities: ['embedding'] },
        { name: 'vl', family: 'mllama' },
        { name: 'qwen3-vl:8b', family: 'qwen3vl' },
      ],
      loadMs: 0,
      firstTokenMs: 1000,
      tokensPerSecond: 0,
      maxLoadedModels: 2,
      numParallel: 4,
      curve: [1, 0.9],
      speech: 'tokens',
      deadlock: false,
      lingerMs: 2,
      maxQueue: 5,
      controlPort: 0,
    })
  })

  test.each([
    ['addr', '11434'],
    ['models', 'a b'],
    ['models', 'tiny=1GB'],
    ['models', 'tiny=1=2'],
    ['models', ''],
    ['models', 'tiny='],
    ['models', 'tiny=1:A B'],
    ['curve', '1,'],
    ['curve', '1,-2'],
    ['curve', 'fast'],
    ['speech', 'loud'],
    ['load', 'slow'],
    ['load', '-1s'],
    ['tokens-per-second', '-1'],
    ['num-parallel', '0'],
    ['control-port', '65536'],
  ])('--%s %s is refused in one sentence', (flag, text) => {
    expect(simulatorOptions({ [flag]: text })).toStartWith(`--${flag} is "${text}": expected `)
  })
})

describe('foreman simulate', () => {
  test('has help that fits a terminal, and knows the flag of the first version', () => {
    expect(command.help.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(simulatorOptions({ 'num-parallel': '3' })).toMatchObject({ numParallel: 3 })
  })

  test('answers as Ollama until a signal stops it', async () => {
    const io = createIo()
    const code = command.run(['--addr', '127.0.0.1:0', '--models', 'tiny', '--control-port', '0', '--json'], io)
    await io.untilOut('\n')
    const { url, control_url, models } = JSON.parse(io.out())
    expect(models).toEqual(['tiny'])
    expect(await (await fetch(url)).text()).toBe('Ollama is running')
    expect((await fetch(`${control_url}/counters`)).status).toBe(200)
    io.signal('SIGINT')
    expect(await code).toBe(0)
    expect(fetch(url, { keepalive: false })).rejects.toThrow()
  })

  test('greets people with something to try', async () => {
    const io = createIo()
    const code = command.run(['--addr', '127.0.0.1:0'], io)
    await io.untilOut('Ctrl-C')
    expect(io.out()).toMatch(/^A simulated Ollama listens at http:\/\/127\.0\.0\.1:\d+\n/)
    expect(io.out()).toContain('/api/chat -d')
    io.signal('SIGTERM')
    expect(await code).toBe(0)
  })

  test('says that the port is taken and exits 1', async () => {
    const taken = await startSimulator()
    const io = createIo()
    expect(await command.run(['--addr', `127.0.0.1:${taken.port}`], io)).toBe(1)
    expect(io.err()).toContain(`port ${taken.port} of 127.0.0.1 is taken`)
    await taken.stop()
  })
})
