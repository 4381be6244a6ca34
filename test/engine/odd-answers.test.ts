/** A6, A7, A9, A10: answers that are odd and still somebody's: what each comes to, and that none of them is without bounds. */
import { afterEach, describe, expect, test } from 'bun:test'
import { type Bench, createBench } from '../support/engine-bench.ts'
import { figure } from '../support/figures.ts'
import { FINAL, type Plan } from '../support/virtual-target.ts'

let bench: Bench
afterEach(() => bench.close())

const HALF = '{"model":"m","message":{"role":"assistant","content":"half"},"done":false}\n'
const JSON_TYPE = 'application/json; charset=utf-8'

/** The job `j` meets this every time it is tried. */
const tried = async (plan: Plan) => {
  bench = createBench()
  bench.target.script = ({ isWork }) => (isWork ? plan : undefined)
  await bench.submit('j')
  await bench.until(() => bench.eventsOf('job_done').length + bench.eventsOf('job_failed').length === 1)
  const runs = bench.target.seen.filter(({ isWork }) => isWork).length
  return { row: bench.store.row('j'), runs }
}

describe('an error with status 200', () => {
  test('is the failure of an async job, in its words', async () => {
    const { row } = await tried({ kind: 'ok', type: JSON_TYPE, text: '{"error":"CUDA error: out of memory"}' })
    expect(row).toMatchObject({ state: 'failed', error_code: 'out_of_memory', attempt: 3 })
    expect(row?.error_message).toEndWith('CUDA error: out of memory')
  })

  test('is run once when the request is at fault', async () => {
    const text = JSON.stringify({ error: 'Jinja Exception: Conversation roles must alternate' })
    const { row, runs } = await tried({ kind: 'ok', type: JSON_TYPE, text })
    expect([row?.state, row?.error_code, runs]).toEqual(['failed', 'refused', 1])
  })

  test('reaches a sync client as the target said it', async () => {
    bench = createBench({ config: { maxAttempts: 1 } })
    const text = '{"error":"x"}'
    bench.target.script = ({ isWork }) => (isWork ? { kind: 'ok', type: JSON_TYPE, text } : undefined)
    const call = bench.call('a')
    await bench.until(() => call.isOver)
    expect([call.status, call.text]).toEqual([200, text])
  })
})

describe('a 500 that the request causes', () => {
  test.each([
    'Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...',
    '{"error":{"code":500,"message":"Failed to load image or audio file","type":"server_error"}}',
  ])('is run once: %s', async (error) => {
    const { row, runs } = await tried({ kind: 'status', status: 500, error })
    expect([row?.state, row?.error_code, row?.attempt, runs]).toEqual(['failed', 'refused', 1, 1])
  })

  test('and any other as often as there are attempts', async () => {
    const { row, runs } = await tried({ kind: 'status', status: 500, error: 'words of a version to come' })
    expect([row?.state, row?.error_code, runs]).toEqual(['failed', 'runner_failed', 3])
  })
})

describe('a final chunk without an end', () => {
  const endless: Plan = { kind: 'stream', pieces: [HALF, FINAL], ending: 'hang' }

  test('ends an async job at once', async () => {
    bench = createBench()
    bench.target.script = ({ isWork }) => (isWork ? endless : undefined)
    await bench.submit('j')
    const tookMs = await bench.until(() => bench.eventsOf('job_done').length === 1)
    expect(tookMs).toBeLessThanOrEqual(1_500)
    expect(bench.store.row('j')).toMatchObject({ state: 'done', attempt: 1 })
    figure('A7', `a final chunk without an end frees the worker after ${tookMs} ms`)
  })

  test('ends the answer of a sync client, and the worker is free for the next', async () => {
    bench = createBench()
    bench.target.script = ({ isWork, body }) => (isWork && body.includes('odd') ? endless : undefined)
    const odd = bench.call('odd', { text: 'odd' })
    const next = bench.call('next')
    await bench.until(() => odd.isOver && next.isOver, 5_000)
    expect([odd.status, odd.text, next.status]).toEqual([200, HALF + FINAL, 200])
  })
})

test('a whole answer without an end is whole when nothing is missing in it', async () => {
  bench = createBench()
  const text = '{"model":"m","message":{"content":"hi"},"done":true}'
  const pieces = [text.slice(0, 20), text.slice(20)]
  bench.target.script = ({ isWork }) =>
    isWork ? { kind: 'stream', type: JSON_TYPE, pieces, ending: 'hang', everyMs: 3_000 } : undefined
  const call = bench.call('a')
  const tookMs = await bench.until(() => call.isOver, 60_000)
  expect([call.status, call.text]).toEqual([200, text])
  expect(tookMs).toBeLessThanOrEqual(7_500)
})

describe('an answer that never ends', () => {
  const line = (bytes: number) =>
    `{"model":"m","message":{"role":"assistant","content":"${'x'.repeat(bytes)}"},"done":false}\n`

  test('to an async job is given up at 64 MiB, after one run, and says so', async () => {
    const { row, runs } = await tried({
      kind: 'stream',
      pieces: Array.from({ length: 80 }, () => line(1_048_576)),
      ending: 'hang',
    })
    expect([row?.state, row?.error_code, runs]).toEqual(['failed', 'answer_too_large', 1])
    expect(row?.error_message).toBe("the target's answer is larger than foreman keeps: more than 67108864 bytes")
  })

  test('and has no newline is passed on to a sync client without being kept', async () => {
    bench = createBench()
    const pieces = [HALF, ...Array.from({ length: 40 }, () => 'x'.repeat(1_048_576))]
    bench.target.script = ({ isWork }) => (isWork ? { kind: 'stream', pieces, ending: 'reset' } : undefined)
    const call = bench.call('a')
    await bench.until(() => call.isOver)
    expect(call.text.length).toBeGreaterThan(40 * 1_048_576)
    expect(call.text).toEndWith('the target broke off before its answer was complete: connection reset by peer"}\n')
  })
})
