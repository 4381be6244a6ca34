import { afterEach, describe, expect, test } from 'bun:test'
import type { Io } from '../../src/cli/command.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { createEventReader, type ServerEvent } from '../../src/cli/server-events.ts'
import { createTranscript } from '../../src/cli/transcript.ts'
import { systemClock } from '../../src/clock.ts'
import { createDice } from '../support/chance.ts'
import { createIo, type TestIo } from '../support/command-io.ts'
import {
  accepted,
  chunk,
  createJobStub,
  doneJson,
  eventStream,
  failedJson,
  jobId,
  problem,
  transition,
} from '../support/job-stub.ts'

const stubs: { stop(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.stop()))
})

const queued = transition(1, 'queued')
const loading = transition(2, 'loading', 'queued')
const working = transition(3, 'working', 'loading')
const done = transition(4, 'done', 'working')

/** A foreman that gives these event streams one after the other. */
const streaming = (streams: readonly (() => Response | Promise<Response>)[], job: object) => {
  const left = [...streams]
  const stub = createJobStub({
    'POST /jobs': () => accepted(),
    [`GET /jobs/${jobId}/events`]: () => left.shift()?.() ?? problem(500, 'no more streams'),
    [`GET /jobs/${jobId}`]: () => Response.json(job),
  })
  stubs.push(stub)
  return stub
}

/** Pauses between connections pass at once; the bounds of requests stay. */
const brisk = (io: TestIo): Io => ({
  ...io,
  clock: { ...systemClock, after: (ms, done) => systemClock.after(ms > 400 && ms <= 1000 ? 1 : ms, done) },
})

const run = async (url: string, io: TestIo = createIo({ FOREMAN_URL: url })) => {
  const code = await runCommandLine(['submit', '--model', 'm', '--stream', 'x'], brisk(io))
  return { code, out: io.out(), err: io.err() }
}

describe('foreman submit --stream', () => {
  test('prints tokens as they come, before the answer is complete', async () => {
    const rest = Promise.withResolvers<void>()
    const stream = () =>
      new Response(
        new ReadableStream<Uint8Array>({
          async start(controller) {
            const put = (text: string) => controller.enqueue(new TextEncoder().encode(text))
            put(queued + loading + working + chunk('Be'))
            await rest.promise
            put(chunk('cause.') + done)
            controller.close()
          },
        }),
        { headers: { 'content-type': 'text/event-stream' } },
      )
    const { url } = streaming([stream], doneJson('Because.'))
    const io = createIo({ FOREMAN_URL: url })
    const code = runCommandLine(['submit', '--model', 'm', '--stream', 'x'], io)
    await io.untilOut('Be')
    expect(io.out()).toBe('Be')
    rest.resolve()
    expect(await code).toBe(0)
    expect([io.out(), io.err()]).toEqual(['Because.\n', ''])
  })

  test('prints the rest when the stream brought only the beginning, or nothing', async () => {
    for (const frames of [
      [queued, working, chunk('Bec'), done],
      [queued, done],
    ]) {
      const { url } = streaming([() => eventStream(frames)], doneJson('Because.'))
      expect(await run(url)).toEqual({ code: 0, out: 'Because.\n', err: '' })
    }
  })

  test('takes a broken stream up again after the last transition it saw', async () => {
    const seen = Promise.withResolvers<void>()
    const { url, asked } = streaming(
      [
        () => eventStream([queued, loading, working, chunk('Be')], { cut: seen.promise }),
        () => eventStream([chunk('not known to follow'), done]),
      ],
      doneJson('Because.'),
    )
    const io = createIo({ FOREMAN_URL: url })
    void io.untilOut('Be').then(seen.resolve)
    expect(await run(url, io)).toEqual({ code: 0, out: 'Because.\n', err: '' })
    const events = asked.filter(({ path }) => path.endsWith('/events'))
    expect(events.map(({ headers }) => headers.get('last-event-id'))).toEqual([null, '3'])
  })

  test('goes on printing when the new stream repeats the beginning', async () => {
    const { url } = streaming(
      [
        () => eventStream([queued, loading, working, chunk('Be')]),
        () => eventStream([chunk('B'), chunk('ec'), chunk('ause.'), done]),
      ],
      doneJson('Because.'),
    )
    expect((await run(url)).out).toBe('Because.\n')
  })

  test('comes back after a foreman that restarts or ends the stream early', async () => {
    const { url } = streaming(
      [
        () => eventStream([queued]),
        () => problem(503, 'foreman is stopping'),
        () => eventStream([loading, working, chunk('Because.'), done]),
      ],
      doneJson('Because.'),
    )
    expect(await run(url)).toEqual({ code: 0, out: 'Because.\n', err: '' })
  })

  test('knows from an empty answer that the job was final before the stream came back', async () => {
    const { url } = streaming(
      [() => eventStream([queued, loading, working, chunk('Be')]), () => new Response(null, { status: 204 })],
      doneJson('Because.'),
    )
    expect(await run(url)).toEqual({ code: 0, out: 'Because.\n', err: '' })
  })

  test('says so and prints the whole answer when another attempt began otherwise', async () => {
    const again = [transition(4, 'queued', 'working'), transition(5, 'loading'), transition(6, 'working')]
    const frames = [queued, loading, working, chunk('Per'), ...again, chunk('Because.'), transition(7, 'done')]
    const { url } = streaming([() => eventStream(frames)], doneJson('Because.'))
    const { code, out, err } = await run(url)
    expect([code, out]).toEqual([0, 'Per\nBecause.\n'])
    expect(err).toBe('foreman: the job was tried again or the stream had a gap; this is the whole answer:\n')
  })

  test('exits 1 and says why when the job fails on the way', async () => {
    const frames = [queued, loading, working, chunk('Per'), transition(4, 'failed', 'working')]
    const { url } = streaming([() => eventStream(frames)], failedJson())
    expect(await run(url)).toEqual({
      code: 1,
      out: 'Per\n',
      err: `foreman: job ${jobId} failed: broke_off: the target broke off before its answer was complete\n`,
    })
  })

  test('gives up with the detail when foreman refuses the stream', async () => {
    const { url } = streaming([() => problem(404, 'there is no job with this id')], {})
    expect(await run(url)).toEqual({ code: 1, out: '', err: 'foreman: there is no job with this id\n' })
  })

  test('shows progress on a terminal only until the first token', async () => {
    const { url } = streaming(
      [() => eventStream([queued, loading, working, chunk('Because.'), done])],
      doneJson('Because.'),
    )
    const { out, err } = await run(url, createIo({ FOREMAN_URL: url }, { isTerminal: true }))
    expect(out).toBe('Because.\n')
    expect(err).toContain(`\r\x1b[2K${jobId} queued, position 3, about 42s\r\x1b[2K${jobId} loading qwen3:14b`)
    expect(err).toEndWith('\r\x1b[2K')
  })

  test('ends when nobody reads any more', async () => {
    const { url } = streaming(
      [() => eventStream([queued, working, chunk('Be'), chunk('cause'), done])],
      doneJson('Because.'),
    )
    const io = createIo({ FOREMAN_URL: url })
    io.closeOut()
    expect(await runCommandLine(['submit', '--model', 'm', '--stream', 'x'], brisk(io))).toBe(1)
    expect(io.err()).toBe('')
  })
})

describe('server-sent events', () => {
  const read = (pieces: readonly string[]) => {
    const events: ServerEvent[] = []
    const put = createEventReader((event) => events.push(event))
    for (const piece of pieces) put(piece)
    return events
  }
  const text =
    ': beat\r\n\r\nevent: chunk\r\ndata: {"a":1}\r\n\r\nid: 7\ndata:x\ndata: y\n\ndata\r\rretry: 5\n\nevent: half\ndata: z'
  const expected = [
    { event: 'chunk', data: '{"a":1}', id: '' },
    { event: 'message', data: 'x\ny', id: '7' },
    { event: 'message', data: '', id: '7' },
  ]

  test('are read as the standard says: comments, all line ends, several data lines, no unfinished event', () => {
    expect(read([text])).toEqual(expected)
  })

  test('do not depend on how the text was cut', () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const { between } = createDice(seed)
      const pieces: string[] = []
      for (let at = 0; at < text.length; ) {
        const size = between(1, 9)
        pieces.push(text.slice(at, at + size))
        at += size
      }
      expect({ seed, events: read(pieces) }).toEqual({ seed, events: expected })
    }
  })
})

describe('a transcript', () => {
  test('never prints a token twice or out of place, however connections break', () => {
    const out: string[] = []
    const transcript = createTranscript((text) => out.push(text))
    transcript.begin()
    for (const token of ['a', 'b', 'c']) transcript.token(token)
    transcript.begin()
    for (const token of ['ab', 'cd', 'e']) transcript.token(token)
    transcript.begin()
    for (const token of ['x', 'abcdef']) transcript.token(token)
    expect([out.join(''), transcript.printed]).toEqual(['abcde', 'abcde'])
  })
})
