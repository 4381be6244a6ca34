/** `foreman bench` against simulated machines: what it measures, what it advises, and whom it leaves alone. */
import { afterEach, describe, expect, test } from 'bun:test'
import { adviceFor, type Level, levelOf } from '../../src/cli/bench-advice.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { type SimulatorOptions, startSimulator } from '../../src/simulator/simulator.ts'
import { closedPort, createIo, createStub } from '../support/command-io.ts'
import { runForeman } from '../support/foreman.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

const pace = { firstTokenMs: 5, tokensPerSecond: 500, models: [{ name: 'tiny' }] } as const
const machine = async (options: SimulatorOptions) => {
  const simulator = await startSimulator({ ...pace, ...options })
  stops.push(() => simulator.stop())
  return simulator
}
const foremanFor = async (url: string) => {
  const foreman = await runForeman(url)
  stops.push(() => foreman.stop())
  while (
    !((await (await fetch(`${foreman.url}/healthz`)).json()) as { target: { reachable: boolean } }).target.reachable
  )
    await new Promise((resolve) => setImmediate(resolve))
  return foreman
}
const bench = async (args: string[], env: Record<string, string> = {}) => {
  const io = createIo(env)
  const code = await runCommandLine(['bench', ...args], io)
  return { code, out: io.out(), err: io.err() }
}

const level = (parallel: number, tokensPerSecond: number, more: Partial<Level> = {}): Level => ({
  parallel,
  tokensPerSecond,
  firstTokenP95Ms: 200,
  failures: 0,
  sideBySide: parallel,
  problem: null,
  ...more,
})
const plain = { family: 'llama', isOneSlotFamily: false, isThrough: false }

describe('the advice', () => {
  test.each([
    ['a 24 GB card', [40, 64, 84, 100], 8, 'Set FOREMAN_PARALLEL=8 and OLLAMA_NUM_PARALLEL=8: 2.5x'],
    ['a card that is full at four', [40, 64, 98, 100], 4, 'Set FOREMAN_PARALLEL=4 and OLLAMA_NUM_PARALLEL=4: 2.5x'],
    ['a card that is worse beyond two', [40, 60, 50, 30], 2, 'Set FOREMAN_PARALLEL=2'],
    ['a Tesla P40', [63, 56, 50, 48], 1, 'Leave FOREMAN_PARALLEL at 1: 8 side by side are slower (0.76x).'],
    ['a CPU', [20, 22, 20.6, 21], 1, 'Leave FOREMAN_PARALLEL at 1: 8 side by side gain little (1.1x) and cost memory.'],
  ])('for %s', (_, [one, two, four, eight], parallel, text) => {
    const advice = adviceFor([level(1, one!), level(2, two!), level(4, four!), level(8, eight!)], plain)
    expect(advice.parallel).toBe(parallel)
    expect(advice.text).toStartWith(text)
  })

  test('leaves out what only waited in the target, and what failed', () => {
    const slots = [level(1, 40), level(2, 70), level(4, 71, { sideBySide: 2 })]
    expect(adviceFor(slots, plain)).toMatchObject({ parallel: 2, gain: 1.75 })
    const full = [level(1, 40), level(2, 70, { failures: 1, problem: 'CUDA error: out of memory' })]
    expect(adviceFor(full, plain).text).toBe('Leave FOREMAN_PARALLEL at 1: 2 side by side failed.')
    expect(adviceFor([level(1, 0, { failures: 1 })], plain).parallel).toBeNull()
  })

  test('says what to change where everything ran one at a time', () => {
    const one = [level(1, 40), level(2, 40, { sideBySide: 1 })]
    expect(adviceFor(one, plain)).toMatchObject({
      parallel: 1,
      text: expect.stringContaining('set OLLAMA_NUM_PARALLEL=4'),
    })
    expect(adviceFor(one, { ...plain, isThrough: true }).text).toContain('FOREMAN_PARALLEL is 1, or')
    expect(adviceFor(one, { ...plain, family: 'qwen3vl', isOneSlotFamily: true }).text).toContain('the family qwen3vl')
  })

  test('counts who ran beside whom, and an end at the same instant as a beginning is no side by side', () => {
    const run = (firstMs: number, endedMs: number) => ({ sentMs: 0, firstMs, endedMs, tokens: 10, problem: null })
    expect(levelOf([run(10, 20), run(20, 30)])).toMatchObject({ sideBySide: 1, firstTokenP95Ms: 20 })
    expect(levelOf([run(10, 20), run(15, 30), run(29, 40)])).toMatchObject({ sideBySide: 2, tokensPerSecond: 750 })
  })
})

describe('foreman bench', () => {
  test('measures an Ollama with eight slots and advises what reaches nearly all of the gain', async () => {
    const { url } = await machine({ numParallel: 8, curve: [1, 1.6, 2.1, 2.5] })
    const { code, out, err } = await bench(['--direct', url, '--tokens', '60', '--json'])
    expect([code, err]).toEqual([0, ''])
    const said = JSON.parse(out)
    expect(said).toMatchObject({ target: url, model: 'tiny:latest', tokens: 60, note: null })
    expect(said.levels.map((one: { parallel: number }) => one.parallel)).toEqual([1, 2, 4, 8])
    expect(said.levels.map((one: { side_by_side: number }) => one.side_by_side)).toEqual([1, 2, 4, 8])
    expect(said.advice.parallel).toBeGreaterThanOrEqual(4)
    expect(said.advice.gain).toBeGreaterThan(1.8)
  })

  test('prints a table in 80 columns and what to set', async () => {
    const { url } = await machine({ numParallel: 2, curve: [1, 1.6] })
    const { code, out } = await bench(['--direct', url, '--tokens', '40', '--parallel', '2,4'])
    expect(code).toBe(0)
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(out).toMatch(/^ +1 +[\d.]+ +1\.00x +\d+ ms +1 +0$/m)
    expect(out).toMatch(/^ +4 +[\d.]+ +[\d.]+x +\d+ ms +2 +0$/m)
    expect(out).toContain('Set FOREMAN_PARALLEL=2 and OLLAMA_NUM_PARALLEL=2')
  })

  test('stops where the target runs one at a time, and says what to do about it', async () => {
    const { url, counters } = await machine({})
    const { code, out } = await bench(['--direct', url, '--tokens', '20'])
    expect(code).toBe(0)
    expect(out.replaceAll('\n', ' ')).toContain('no more than 1 ran side by side, so 4 were not tried')
    expect(out).toContain('OLLAMA_NUM_PARALLEL=4')
    expect(counters().generationsStarted).toBe(3)
  })

  test('never says how long a model stays loaded', async () => {
    const simulator = await machine({ numParallel: 2 })
    await fetch(`${simulator.url}/api/generate`, { method: 'POST', body: '{"model":"tiny","keep_alive":-1}' })
    await bench(['--direct', simulator.url, '--tokens', '5', '--parallel', '2'])
    expect(simulator.residents()).toMatchObject([{ expiresAt: null }])
  })

  test('asks the target that foreman names, and with --through foreman itself', async () => {
    const simulator = await machine({ numParallel: 2 })
    const foreman = await foremanFor(simulator.url)
    const env = { FOREMAN_URL: foreman.url }
    const straight = await bench(['--tokens', '20', '--parallel', '2', '--json'], env)
    expect(JSON.parse(straight.out)).toMatchObject({ target: simulator.url, levels: [{}, { side_by_side: 2 }] })
    const through = await bench(['--tokens', '20', '--parallel', '2', '--json', '--through'], env)
    expect(JSON.parse(through.out)).toMatchObject({ target: foreman.url, levels: [{}, { side_by_side: 1 }] })
  })

  test('leaves a foreman with work alone unless told otherwise, and then says so', async () => {
    const simulator = await machine({ numParallel: 2, tokensPerSecond: 20 })
    const foreman = await foremanFor(simulator.url)
    const env = { FOREMAN_URL: foreman.url }
    const body = JSON.stringify({ model: 'tiny', prompt: '[[n=1000]]' })
    const controller = new AbortController()
    const job = fetch(`${foreman.url}/api/generate`, { method: 'POST', body, signal: controller.signal })
    await simulator.waitFor((c) => c.generationsStarted === 1)
    const refused = await bench([], env)
    expect([refused.code, refused.out]).toEqual([1, ''])
    expect(refused.err).toBe(
      'foreman: foreman has 1 job now: wait until they are done, or measure all the same with --anyway\n',
    )
    const anyway = await bench(['--anyway', '--tokens', '2', '--parallel', '1'], env)
    expect(anyway.code).toBe(0)
    expect(anyway.err).toContain('slow each other down')
    expect(anyway.err).toContain('jobs came meanwhile')
    controller.abort()
    await job.then((answer) => answer.text()).catch(() => undefined)
  })

  test('is gone at Ctrl-C with everything it asked for, and when the time is up', async () => {
    const simulator = await machine({ numParallel: 2, tokensPerSecond: 5 })
    const io = createIo({}, { isTerminal: true })
    const code = runCommandLine(['bench', '--direct', simulator.url, '--tokens', '4000'], io)
    await simulator.waitFor((c) => c.generationsStarted === 1)
    expect(io.err()).toContain('tiny:latest: 1 at once')
    io.signal('SIGINT')
    expect(await code).toBe(130)
    expect(io.err()).toEndWith('\r\u001b[2K')
    await simulator.waitFor((c) => c.open === 0)
    expect((await bench(['--direct', simulator.url, '--tokens', '4000', '--timeout', '1s'])).code).toBe(5)
    const short = await bench(['--direct', simulator.url, '--tokens', '3', '--timeout', '1.5s'])
    expect([short.code, short.out.replaceAll('\n', ' ')]).toEqual([5, expect.stringContaining('would not end in time')])
  })

  test('counts what fails and goes no further', async () => {
    const simulator = await machine({ numParallel: 4 })
    simulator.fault({ kind: 'error-before', text: 'CUDA error: out of memory', path: '/api/chat' })
    const { code, out } = await bench(['--direct', simulator.url])
    expect(code).toBe(1)
    expect(out.replaceAll('\n', ' ')).toContain('1 of 1 failed, so no more were tried: CUDA error: out of memory.')
    expect(simulator.counters().requests['/api/chat']).toBe(1)
  })

  test('asks for a name where it would have to guess, and passes on what Ollama says about one', async () => {
    const { url } = await machine({
      models: [{ name: 'a' }, { name: 'b' }, { name: 'e', capabilities: ['embedding'] }],
    })
    expect(await bench(['--direct', url])).toMatchObject({
      code: 2,
      err: expect.stringContaining('say which to measure with --model ('),
    })
    expect(await bench(['--direct', url, '--model', 'c'])).toMatchObject({
      code: 1,
      err: `foreman: ${url}: model 'c' not found\n`,
    })
  })

  test('does not take the loopback of another machine for its own', async () => {
    const stub = createStub({
      '/healthz': () =>
        Response.json({
          status: 'ok',
          target: { url: 'http://127.0.0.1:11434', reachable: true },
          queue: { queued: 0, working: 0 },
        }),
    })
    stops.push(() => stub.stop())
    const io = createIo({ FOREMAN_URL: 'http://nas:8080' })
    const fetchStub = (url: string, init: BunFetchRequestInit) => fetch(url.replace('http://nas:8080', stub.url), init)
    expect(await runCommandLine(['bench'], { ...io, fetch: fetchStub })).toBe(2)
    expect(io.err()).toBe(
      'foreman: the target is http://127.0.0.1:11434 as seen from nas: run this there, or name it with --direct\n',
    )
  })

  test('refuses what cannot be measured in one sentence', async () => {
    const nothing = `http://127.0.0.1:${await closedPort()}`
    expect(await bench([], { FOREMAN_URL: nothing })).toMatchObject({ code: 3 })
    expect(await bench(['--direct', nothing])).toMatchObject({
      code: 1,
      err: `foreman: ${nothing}: nothing listens there\n`,
    })
    for (const args of [
      ['--parallel', '1,zwei'],
      ['--parallel', '65'],
      ['--tokens', '0'],
      ['--timeout', '2h'],
      ['--direct', 'a b'],
      ['--direct', 'x', '--through'],
    ])
      expect([args, (await bench(args)).code]).toEqual([args, 2])
  })
})
