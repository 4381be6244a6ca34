/** A model that does not fit: half the context, then the processor, then the fallback, in this order, each once, and each told. */
import { afterEach, describe, expect, test } from 'bun:test'
import type { PartPorts } from '../../../src/engine/part.ts'
import { fallback } from '../../../src/parts/fallback/index.ts'
import { manager } from '../../../src/parts/manager/index.ts'
import { createReliever } from '../../../src/parts/manager/relief.ts'
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts'
import { type Bench, createBench } from '../../support/engine-bench.ts'
import { type RunningForeman, runForeman } from '../../support/foreman.ts'

const FULL = 'llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory'

describe('on a virtual target', () => {
  let bench: Bench
  afterEach(() => bench.close())

  /** What the target was asked to load or do, as contexts and layers on the card. */
  const asked = () =>
    bench.target.seen.flatMap(({ path, body }) => {
      if (path !== '/api/chat' && path !== '/api/generate') return []
      const { options = {} } = JSON.parse(body) as { options?: Record<string, number> }
      return [`${path.slice(5)} ${options['num_ctx'] ?? '-'}${options['num_gpu'] === 0 ? ' cpu' : ''}`]
    })

  const start = (fits: (options: Record<string, number>) => boolean, allowsCpu = false) => {
    bench = createBench({
      part: ({ relief, clock }: PartPorts<never>) => {
        relief.use(createReliever({ clock, allowsCpu, contextOf: () => null }))
        return { start: () => undefined, stop: async () => undefined }
      },
    })
    bench.target.script = ({ path, body }) => {
      if (path !== '/api/chat' && path !== '/api/generate') return undefined
      const { options = {} } = JSON.parse(body) as { options?: Record<string, number> }
      return fits(options) ? undefined : { kind: 'status', status: 500, error: FULL }
    }
  }

  test('half the context fits: one attempt, told in the header, and the next call begins with it', async () => {
    start(({ num_ctx = 4_096 }) => num_ctx <= 4_096)
    const first = bench.call('a', { numCtx: 8_192 })
    await bench.until(() => first.isOver)
    expect([first.status, first.headers.get('x-foreman-relief')]).toEqual([200, 'num_ctx=4096'])
    expect(asked()).toEqual(['generate 8192', 'generate 4096', 'chat 4096'])
    expect(bench.store.row('a')).toMatchObject({ state: 'done', attempt: 1 })
    const second = bench.call('b', { numCtx: 8_192 })
    await bench.until(() => second.isOver)
    expect(second.headers.get('x-foreman-relief')).toBe('num_ctx=4096')
    expect(
      asked()
        .slice(3)
        .filter((what) => what.includes('8192')),
    ).toEqual([])
    expect(bench.eventsOf('job_relieved').map(({ step }) => step)).toEqual(['num_ctx=4096', 'num_ctx=4096'])
  })

  test('after an hour the whole context is tried again', async () => {
    let isTight = true
    start(({ num_ctx = 4_096 }) => !isTight || num_ctx <= 4_096)
    const first = bench.call('a', { numCtx: 8_192 })
    await bench.until(() => first.isOver)
    isTight = false
    await bench.clock.advance(3_700_000)
    const second = bench.call('b', { numCtx: 8_192 })
    await bench.until(() => second.isOver)
    expect([second.status, second.headers.get('x-foreman-relief')]).toEqual([200, null])
  })

  test('with FOREMAN_OOM_CPU the processor comes next, once; without it the call fails after one attempt', async () => {
    start(({ num_gpu }) => num_gpu === 0, true)
    const call = bench.call('a', { numCtx: 8_192 })
    await bench.until(() => call.isOver)
    expect([call.status, call.headers.get('x-foreman-relief')]).toEqual([200, 'num_ctx=4096, num_gpu=0'])
    expect(asked()).toEqual(['generate 8192', 'generate 4096', 'generate 4096 cpu', 'chat 4096 cpu'])
    await bench.close()
    start(() => false)
    const failed = bench.call('a', { numCtx: 8_192 })
    await bench.until(() => failed.isOver)
    expect(failed.text).toContain('out of memory')
    expect(asked()).toEqual(['generate 8192', 'generate 4096'])
    expect(bench.store.row('a')).toMatchObject({ state: 'failed', attempt: 1, error_code: 'out_of_memory' })
  })

  test('a context that cannot be halved is not, and what fails for another reason is tried as ever', async () => {
    start(() => false)
    const small = bench.call('a', { numCtx: 4_000 })
    await bench.until(() => small.isOver)
    expect([...new Set(asked())]).toEqual(['generate 4000'])
    expect(bench.eventsOf('job_relieved')).toEqual([])
  })
})

describe('on sockets', () => {
  const simulators: Simulator[] = []
  let foreman: RunningForeman
  afterEach(async () => {
    await foreman.stop()
    await Promise.all(simulators.splice(0).map((one) => one.stop()))
  })

  test('smaller, on the processor, elsewhere: in this order, told in the headers and in the job', async () => {
    const full = await startSimulator({ models: [{ name: 'tiny' }] })
    const other = await startSimulator({ models: [{ name: 'tiny' }] })
    simulators.push(full, other)
    full.fault({ kind: 'oom', phase: 'load', path: '/api/generate' })
    const env = {
      FOREMAN_MANAGE: 'adopt',
      FOREMAN_OOM_CPU: 'true',
      FOREMAN_FALLBACK_URL: other.url,
      FOREMAN_FALLBACK_MODELS: '*=same',
    }
    foreman = await runForeman(full.url, env, { plans: [manager, fallback] })
    const body = { model: 'tiny', prompt: 'hi', stream: false, options: { num_ctx: 16_384 } }
    const answer = await fetch(`${foreman.url}/api/generate`, { method: 'POST', body: JSON.stringify(body) })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-foreman-relief')).toBe('num_ctx=8192, num_gpu=0')
    expect(answer.headers.get('x-foreman-served-by')).toBe('fallback')
    full.fault(null)
    full.fault({ kind: 'oom', phase: 'load', path: '/api/generate', times: 1 })
    const { job_id } = (await (
      await fetch(`${foreman.url}/jobs`, { method: 'POST', body: JSON.stringify({ ...body, prompt: 'later' }) })
    ).json()) as { job_id: string }
    const job = await (await fetch(`${foreman.url}/jobs/${job_id}?wait=20s`)).json()
    expect(job).toMatchObject({ state: 'done', attempt: 1, relief: ['num_ctx=8192'] })
  })
})
