/** `foreman bench`: what requests side by side gain on this target, and what to set; it must never disturb running work unasked. */
import { parseDurationMs } from '../domain/duration.ts'
import { oneSlotFamilies } from '../domain/wire/families.ts'
import { type Advice, adviceFor, gainOf, type Level } from './bench-advice.ts'
import { type Measured, measure } from './bench-measure.ts'
import { type BenchModel, findModel, findPlace, type Place, workOf } from './bench-place.ts'
import { type BenchTarget, createBenchTarget } from './bench-target.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { readFlags, wrong } from './flags.ts'
import { createInterruption, createProgress, type Interruption, type Progress } from './progress.ts'
import { createStyle, humanSpan, renderTable } from './table.ts'
import { wrapHelp } from './wrap.ts'

const help = `foreman bench measures what requests of one model gain side by side on your machine, and says what to set.

Usage:  foreman bench [--model NAME] [flags]

  --model NAME         which model; default the one that is loaded
  --parallel 1,2,4,8   how many at once, one after the other; 1 is always measured, to compare with
  --tokens N           how many each answer gets; default 128
  --timeout DURATION   bound on all of it; default 5m
  --direct URL         this Ollama; default the target of the running foreman. FOREMAN_OLLAMA_TOKEN is sent to it
  --through            through foreman, as clients see it: no more than FOREMAN_PARALLEL run at once
  --anyway             although foreman has work, which this slows down and which makes the figures worse
  --json               print {"target":…,"model":…,"levels":[…],"advice":{…},"note":…}

Gains differ from 0.75x to 2.8x between machines, so this is worth two minutes before FOREMAN_PARALLEL is set. Several at once run only
where Ollama allows it: set OLLAMA_NUM_PARALLEL=8 there first, measure, then set what the advice says. Each slot takes memory for a whole
context. The model is loaded if it is not, which may push out another one.

Exit codes: 0 measured, 1 foreman has work or nothing could be measured, 2 usage, 3 no foreman answered, 4 token, 5 the timeout ran out,
130 Ctrl-C.

Examples:
  foreman bench
  foreman bench --model qwen3:14b --parallel 1,2,4
  foreman bench --direct http://gpu-box:11434 --tokens 64 --json | jq .advice
`

const options = {
  model: { type: 'string' },
  parallel: { type: 'string' },
  tokens: { type: 'string' },
  timeout: { type: 'string' },
  direct: { type: 'string' },
  through: { type: 'boolean' },
  anyway: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

interface Wanted {
  readonly levels: readonly number[]
  readonly tokens: number
  readonly timeoutMs: number
}

const PARALLEL_MAX = 64
const TOKENS_MAX = 4096
const TIMEOUT_MAX_MS = 3_600_000

const wholeNumber = (text: string, most: number): number | undefined => {
  const value = /^\d{1,5}$/.test(text.trim()) ? Number(text) : 0
  return value >= 1 && value <= most ? value : undefined
}

type Texts = Readonly<Partial<Record<'parallel' | 'tokens' | 'timeout', string>>>

const readWanted = ({ parallel = '1,2,4,8', tokens = '128', timeout = '5m' }: Texts): Wanted | string => {
  const levels = parallel.split(',').map((part) => wholeNumber(part, PARALLEL_MAX))
  if (levels.includes(undefined))
    return `--parallel is "${parallel}": expected numbers such as 1,2,4,8, up to ${PARALLEL_MAX}`
  const count = wholeNumber(tokens, TOKENS_MAX)
  if (count === undefined) return `--tokens is "${tokens}": expected a whole number from 1 to ${TOKENS_MAX}`
  const bound = parseDurationMs(timeout)
  if (bound.kind !== 'ok' || bound.value < 1000 || bound.value > TIMEOUT_MAX_MS)
    return `--timeout is "${timeout}": expected a duration such as 2m, from 1s to 1h`
  const rising = [...new Set([1, ...levels.flatMap((level) => level ?? [])])].sort((a, b) => a - b)
  return { levels: rising, tokens: count, timeoutMs: bound.value }
}

export const benchCommand: Command = {
  help,
  async run(args, io) {
    const flags = readFlags(args, options, { io, help })
    if (flags.kind === 'exit') return flags.code
    const { values } = flags
    const wanted = readWanted(values)
    if (typeof wanted === 'string') return wrong(io, wanted).code
    if (values.direct !== undefined && values.through)
      return wrong(io, '--direct and --through exclude each other').code
    const place = await findPlace(io, { direct: values.direct, through: values.through ?? false })
    if (place.kind === 'exit') return place.code
    if (!(await mayDisturb(io, place.value, values.anyway ?? false))) return exitCode.no
    const interruption = createInterruption(io)
    interruption.limit(wanted.timeoutMs)
    const progress = createProgress(io)
    try {
      const target = createBenchTarget(io, { ...place.value, signal: interruption.signal })
      const found = await findModel(io, target, values.model)
      if (found.kind === 'exit') return interruption.code() ?? found.code
      return await bench(io, {
        wanted,
        target,
        model: found.value,
        interruption,
        progress,
        place: place.value,
        flags: values,
      })
    } finally {
      progress.close()
      interruption.dispose()
    }
  },
}

/** Work that runs now would be slowed down and would spoil the figures. */
const mayDisturb = async (io: Io, { foreman }: Place, anyway: boolean): Promise<boolean> => {
  const work = foreman === null ? null : await workOf(foreman)
  if (!work) return true
  const has = `foreman has ${work} ${work === 1 ? 'job' : 'jobs'} now`
  if (anyway) io.stderr.write(`foreman: ${has}: they and this slow each other down\n`)
  else io.stderr.write(`foreman: ${has}: wait until they are done, or measure all the same with --anyway\n`)
  return anyway
}

interface Bench {
  readonly wanted: Wanted
  readonly target: BenchTarget
  readonly model: BenchModel
  readonly place: Place
  readonly interruption: Interruption
  readonly progress: Progress
  readonly flags: { readonly json?: boolean; readonly through?: boolean }
}

const bench = async (
  io: Io,
  { wanted, target, model, place, interruption, progress, flags }: Bench,
): Promise<number> => {
  const deadlineMs = io.clock.monotonicMs() + wanted.timeoutMs
  progress.show(`${model.name}: loading`)
  const loaded = await target.ask('/api/generate', { model: model.name })
  if (loaded.kind === 'failed' && interruption.code() === null) {
    progress.close()
    io.stderr.write(`foreman: ${target.url}: ${loaded.message}\n`)
    return exitCode.no
  }
  const { signal } = interruption
  const measured = await measure(io, { ...wanted, target, model: model.name, deadlineMs, progress, signal })
  progress.close()
  const isOneSlotFamily = oneSlotFamilies.has(model.family)
  const advice = adviceFor(measured.levels, {
    family: model.family,
    isOneSlotFamily,
    isThrough: flags.through ?? false,
  })
  if (place.foreman !== null && !flags.through && (await workOf(place.foreman)))
    io.stderr.write('foreman: jobs came meanwhile and made the figures worse: measure again when it is quiet\n')
  const result = { target: target.url, model: model.name, tokens: wanted.tokens, measured, advice }
  if (measured.levels.length > 0) io.stdout.write(flags.json ? asJson(result) : asTable(io, result))
  return interruption.code() ?? codeOf(measured)
}

const codeOf = ({ levels, isLate }: Measured) => {
  // One level says nothing about more.
  if (isLate && levels.length < 2) return exitCode.timeout
  return levels.some(({ failures, parallel }) => failures < parallel) ? exitCode.ok : exitCode.no
}

interface Result {
  readonly target: string
  readonly model: string
  readonly tokens: number
  readonly measured: Measured
  readonly advice: Advice
}

const rounded = (value: number | null, digits: number) => (value === null ? null : Number(value.toFixed(digits)))

const asJson = ({ target, model, tokens, measured: { levels, note }, advice }: Result) => {
  const level = (one: Level) => ({
    parallel: one.parallel,
    tokens_per_second: rounded(one.tokensPerSecond, 1),
    gain: rounded(gainOf(one, levels), 2),
    first_token_p95_ms: rounded(one.firstTokenP95Ms, 0),
    side_by_side: one.sideBySide,
    failures: one.failures,
    problem: one.problem,
  })
  const said = { ...advice, gain: rounded(advice.gain, 2) }
  return `${JSON.stringify({ target, model, tokens, levels: levels.map(level), advice: said, note })}\n`
}

const shortSpan = (ms: number | null) => (ms === null ? '-' : ms < 10_000 ? `${Math.round(ms)} ms` : humanSpan(ms))

const asTable = (io: Io, { target, model, tokens, measured: { levels, note }, advice }: Result) => {
  const rows = levels.map((level) => {
    const gain = gainOf(level, levels)
    return [
      String(level.parallel),
      level.tokensPerSecond.toFixed(1),
      gain === null ? '-' : `${gain.toFixed(2)}x`,
      shortSpan(level.firstTokenP95Ms),
      String(level.sideBySide),
      String(level.failures),
    ]
  })
  const headings = ['AT ONCE', 'TOKENS/S', 'GAIN', 'FIRST TOKEN P95', 'SIDE BY SIDE', 'FAILED']
  const table = renderTable(headings, rows, createStyle(io), headings)
  const prose = [`${model} on ${target}, ${tokens} tokens each`, '', table.trimEnd(), '']
  if (note !== null) prose.push(`Measured no further: ${note}.`)
  return wrapHelp(`${[...prose, advice.text].join('\n')}\n`)
}
