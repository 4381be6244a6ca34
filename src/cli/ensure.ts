/** `foreman ensure`: makes models be there and shows that they work; it must never ask a registry for what is on the disk. */
import { type Ensured, ensureModel } from '../domain/models/ensure.ts'
import type { Progress as Transferred } from '../domain/models/transfer.ts'
import { readWanted, type Wanted } from '../domain/models/wanted.ts'
import { createClient } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { createEnsurePort } from './ensure-port.ts'
import { readFlags, wrong } from './flags.ts'
import { createInterruption, createProgress } from './progress.ts'
import { createStyle, humanBytes, humanSpan, renderTable } from './table.ts'

const help = `foreman ensure makes sure that models are there: listed first, pulled or created only when missing, tried out with one token.

Usage:  foreman ensure MODEL… [--no-verify] [--json]
        foreman ensure MODEL=MODELFILE…

  --no-verify   do not load the models to try them out
  --json        print one line of JSON for each model

What is on the disk needs no network. A download that breaks off goes on where it was. Relative paths in a Modelfile are beside it.

Exit codes: 0 all are there and work, 1 one is not, 2 usage, 3 no foreman answered, 4 token, 130 stopped by Ctrl-C.

Examples:
  foreman ensure llama3.2 nomic-embed-text
  foreman ensure qwen3:14b --no-verify --json | jq -r .how
  printf 'FROM llama3.2\\nSYSTEM You are terse.\\n' > terse.Modelfile && foreman ensure terse=./terse.Modelfile
`

/** `pulling 6a0746a1ec1a  1.2 GB of 2.0 GB (60 %), 42 MB/s, 19s left` */
const createMeter = (io: Io, model: string) => {
  let since: { atMs: number; bytes: number } | null = null
  return ({ status, completedBytes, totalBytes }: Transferred): string => {
    if (totalBytes === 0) return `${model}: ${status}`
    since ??= { atMs: io.clock.monotonicMs(), bytes: completedBytes }
    const seconds = (io.clock.monotonicMs() - since.atMs) / 1_000
    const perSecond = seconds > 1 ? (completedBytes - since.bytes) / seconds : 0
    const share = Math.floor((completedBytes / totalBytes) * 100)
    const speed =
      perSecond > 0
        ? `, ${humanBytes(Math.round(perSecond))}/s, ${humanSpan(((totalBytes - completedBytes) / perSecond) * 1_000)} left`
        : ''
    return `${model}: ${humanBytes(completedBytes)} of ${humanBytes(totalBytes)} (${share} %)${speed}`
  }
}

const jsonLine = (model: string, done: Ensured) => ({
  model,
  how: done.how,
  parameter_size: done.parameterSize,
  quantization: done.quantization,
  size: done.sizeBytes,
  verified_ms: done.verifiedMs,
})

const rowOf = (model: string, { how, parameterSize, quantization, sizeBytes, verifiedMs }: Ensured) => [
  model,
  how,
  sizeBytes === null ? '-' : humanBytes(sizeBytes),
  parameterSize ?? '-',
  quantization ?? '-',
  verifiedMs === null ? '-' : `${(verifiedMs / 1_000).toFixed(1)} s`,
]

const ensureAll = async (io: Io, wanted: readonly Wanted[], flags: { isVerified: boolean; isJson: boolean }) => {
  const created = createClient(io)
  if (created.kind === 'exit') return created.code
  const alive = await created.client.request('GET', '/livez')
  if (alive.kind === 'failed') {
    io.stderr.write(`foreman: ${alive.message}\n`)
    return alive.code
  }
  const interruption = createInterruption(io)
  const progress = createProgress(io)
  const port = createEnsurePort(io, created.client, interruption.signal)
  const rows: string[][] = []
  let code: number = exitCode.ok
  for (const one of wanted) {
    const meter = createMeter(io, one.model)
    progress.show(`${one.model}: looking`)
    const result = await ensureModel(port, one, {
      isVerified: flags.isVerified,
      progress: (now) =>
        progress.show(now.status === 'success' && flags.isVerified ? `${one.model}: trying it out` : meter(now)),
      now: io.clock.monotonicMs,
    })
    progress.show('')
    if (interruption.code() !== null) break
    if (result.kind === 'failed') {
      io.stderr.write(`foreman: ${result.message}\n`)
      code = exitCode.no
    } else if (flags.isJson) io.stdout.write(`${JSON.stringify(jsonLine(one.model, result))}\n`)
    else rows.push(rowOf(one.model, result))
  }
  progress.close()
  interruption.dispose()
  const headings = ['MODEL', 'HOW', 'SIZE', 'PARAMETERS', 'QUANTIZATION', 'ANSWERED IN']
  if (rows.length > 0)
    io.stdout.write(
      renderTable(headings, rows, createStyle(io), ['SIZE', 'ANSWERED IN'], {
        columns: io.stdout.columns,
        narrow: [['MODEL', 20]],
      }),
    )
  return interruption.code() ?? code
}

export const ensureCommand: Command = {
  help,
  async run(args, io) {
    const known = { 'no-verify': { type: 'boolean' }, json: { type: 'boolean' } } as const
    const flags = readFlags(args, known, { io, help, restMax: Number.POSITIVE_INFINITY })
    if (flags.kind === 'exit') return flags.code
    if (flags.rest.length === 0) return wrong(io, 'ensure needs a model').code
    const wanted: Wanted[] = []
    for (const text of flags.rest) {
      const read = readWanted(text)
      if (read.kind === 'bad') return wrong(io, read.problem).code
      wanted.push(read.value)
    }
    return ensureAll(io, wanted, { isVerified: !flags.values['no-verify'], isJson: flags.values.json === true })
  },
}
