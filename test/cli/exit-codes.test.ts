/** Exit codes are what scripts live by: every code that a command's help names comes about, and no other. */
import { afterEach, describe, expect, test } from 'bun:test'
import { exitCode } from '../../src/cli/command.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { closedPort, createIo, type TestIo } from '../support/command-io.ts'
import { accepted, createJobStub, doneJson, failedJson, jobId, jobJson, problem } from '../support/job-stub.ts'

let undone: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of undone.reverse()) await undo()
  undone = []
})

type Answers = Parameters<typeof createJobStub>[0]

const { ok, no, usage, unreachable, unauthorized, timeout, interrupted } = exitCode
const job = (json: object): Answers => ({ [`GET /jobs/${jobId}`]: () => Response.json(json) })
const waiting = job(jobJson())
const refusing = (route: string): Answers => ({ [route]: () => problem(422, 'no') })
const health = (degraded: boolean) => ({ 'GET /healthz': () => Response.json({ status: 'ok', degraded }) })
const models = {
  'GET /api/tags': () => Response.json({ models: [] }),
  'GET /api/ps': () => Response.json({ models: [] }),
}
const asleep = { 'GET /api/tags': () => Response.json({ error: 'asleep' }, { status: 503 }) }
const prompt = ['qwen3:14b', 'Why?']
const submitted = { 'POST /jobs': () => accepted() }

/** What foreman answers, and what happens while the command runs, to the code that comes of it. */
type Case = readonly [code: number, args: readonly string[], answers: Answers, during?: (io: TestIo) => void]
const ctrlC = (io: TestIo) => io.signal('SIGINT')

const cases: Record<string, readonly Case[]> = {
  submit: [
    [ok, prompt, submitted],
    [ok, [...prompt, '--wait'], { ...submitted, ...job(doneJson('x')) }],
    [no, prompt, refusing('POST /jobs')],
    [no, [...prompt, '--wait'], { ...submitted, ...job(failedJson()) }],
    [interrupted, [...prompt, '--wait'], { ...submitted, ...waiting }, ctrlC],
  ],
  list: [
    [ok, [], { 'GET /jobs': () => Response.json({ jobs: [], next: null }) }],
    [no, [], refusing('GET /jobs')],
  ],
  show: [
    [ok, [jobId], job(doneJson('x'))],
    [no, [jobId], {}],
    [no, ['--result', jobId], waiting],
  ],
  wait: [
    [ok, [jobId], job(doneJson('x'))],
    [no, [jobId], job(failedJson())],
    [no, [jobId], {}],
    [timeout, ['--timeout', '0', jobId], waiting],
    [interrupted, [jobId], waiting, ctrlC],
  ],
  cancel: [
    [ok, [jobId], { [`DELETE /jobs/${jobId}`]: () => Response.json(jobJson({ state: 'cancelled' })) }],
    [no, [jobId], { [`DELETE /jobs/${jobId}`]: () => problem(409, 'final already') }],
    [no, [jobId], {}],
  ],
  models: [
    [ok, [], models],
    [no, [], asleep],
  ],
  status: [
    [ok, [], health(false)],
    [no, [], health(true)],
  ],
}

const run = async (verb: string, args: readonly string[], url: string, during?: (io: TestIo) => void) => {
  const io = createIo({ FOREMAN_URL: url })
  const ended = runCommandLine([verb, ...args], io)
  if (during !== undefined) {
    // The command listens for signals once its first answer is there.
    const again = setInterval(() => during(io), 5)
    undone.push(() => clearInterval(again))
  }
  return ended
}

describe.each(Object.entries(cases))('foreman %s', (verb, scenarios) => {
  const [, usual] = scenarios[0] ?? [0, []]

  test.each(scenarios.map((one) => [one[0], one[1].join(' '), one] as const))('exits %i: %s', async (code, _, one) => {
    const stub = createJobStub(one[2])
    undone.push(() => stub.stop())
    expect(await run(verb, one[1], stub.url, one[3])).toBe(code)
  })

  test('exits 2 for a wrong flag and a wrong setting, 3 when nobody answers, 4 when a token is wanted', async () => {
    const locked = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => problem(401, 'a token is wanted') })
    undone.push(() => locked.stop(true))
    expect([
      await run(verb, ['--no-such-flag'], 'http://127.0.0.1:1'),
      await run(verb, usual, 'no url?'),
      await run(verb, usual, `http://127.0.0.1:${await closedPort()}`),
      await run(verb, usual, `http://127.0.0.1:${locked.port}`),
    ]).toEqual([usage, usage, unreachable, unauthorized])
  })

  test('names these codes in its help, and no other', async () => {
    const io = createIo()
    await runCommandLine([verb, '--help'], io)
    const [, named = ''] = /Exit codes: ([\s\S]*?)\.\n\n/.exec(io.out()) ?? []
    const codes = [...named.matchAll(/(?:^|[,;]\s+)(\d+)\s/g)].map(([, code]) => Number(code))
    const possible = new Set([...scenarios.map(([code]) => code), usage, unreachable, unauthorized])
    expect(codes).toEqual([...possible].sort((a, b) => a - b))
  })
})
