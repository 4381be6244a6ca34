/** `foreman models`: what the target has installed and what is loaded, as one table; it must never change either. */
import { type Client, createClient, type Failed, reportFailure, unexpected } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { listOf, numberOf, textOf } from './fields.ts'
import { readFlags } from './flags.ts'
import { createStyle, humanBytes, humanSpan, renderTable } from './table.ts'

const help = `foreman models lists the models of the target and which of them are loaded.

Usage:  foreman models [--json]

  --json    print [{"name":…,"size":…,"quantization":…,"resident":…,"expires_at":…}]

Exit codes: 0 done, 1 the target is away or did not answer, 2 usage, 3 no foreman answered, 4 token.

Examples:
  foreman models
  foreman models --json | jq -r '.[] | select(.resident).name'
`

interface ModelRow {
  readonly name: string
  readonly size: number | null
  readonly quantization: string | null
  readonly resident: boolean
  readonly expires_at: string | null
}

export const modelsCommand: Command = {
  help,
  async run(args: readonly string[], io: Io) {
    const flags = readFlags(args, { json: { type: 'boolean' } }, { io, help })
    if (flags.kind === 'exit') return flags.code
    const created = createClient(io)
    if (created.kind === 'exit') return created.code
    const { client } = created
    const lists: unknown[] = []
    let remembered: string | null = null
    for (const path of ['/api/tags', '/api/ps']) {
      const reply = await client.request('GET', path, { timeoutMs: LISTS_MS })
      if (reply.kind === 'failed') return reportSilence(io, client, reply)
      if (reply.status !== 200 || reply.json === undefined) {
        const said = textOf(reply.json, 'error')
        io.stderr.write(
          `foreman: ${said === undefined ? unexpected(client.url, path, reply.status) : `${path}: ${said}`}\n`,
        )
        return exitCode.no
      }
      lists.push(reply.json)
      remembered ??= reply.headers.get(FROM_MEMORY)
    }
    const rows = joined(lists[0], lists[1])
    io.stdout.write(flags.values.json ? `${JSON.stringify(rows)}\n` : render(rows, io))
    if (remembered === null) return exitCode.ok
    const at = /at=(\S+)/.exec(remembered)?.[1] ?? ''
    const span = at === '' ? 'before' : `${humanSpan(io.clock.now() - Date.parse(at))} ago`
    io.stderr.write(`foreman: the target is away; these are its models of ${span}: \`foreman status\` tells more\n`)
    return exitCode.no
  },
}

// With it foreman marks what it says in the place of a target that is away.
const FROM_MEMORY = 'x-foreman-answered-from'

// Foreman itself says within this time that its target is away.
const LISTS_MS = 35_000

/** No answer is either foreman's silence or its target's: whether foreman lives tells which. */
const reportSilence = async (io: Io, client: Client, failure: Failed): Promise<number> => {
  if (failure.code !== exitCode.unreachable) return reportFailure(io, failure)
  const alive = await client.request('GET', '/livez')
  if (alive.kind === 'failed' || alive.status !== 200) return reportFailure(io, failure)
  io.stderr.write(`foreman: ${client.url} is there, but its target does not answer: \`foreman status\` tells more\n`)
  return exitCode.no
}

const joined = (tags: unknown, ps: unknown): ModelRow[] => {
  const loaded = new Map(listOf(ps, 'models').map((model) => [textOf(model, 'name') ?? '', model]))
  return listOf(tags, 'models').map((model) => {
    const name = textOf(model, 'name') ?? ''
    const resident = loaded.get(name)
    return {
      name,
      size: numberOf(model, 'size') ?? null,
      quantization: textOf(model, 'details', 'quantization_level') ?? null,
      resident: resident !== undefined,
      expires_at: textOf(resident, 'expires_at') ?? null,
    }
  })
}

const render = (rows: readonly ModelRow[], io: Io) => {
  if (rows.length === 0)
    return 'The target has no models. Try: ollama pull llama3.2 (OLLAMA_HOST may be this foreman)\n'
  const cells = rows.map(({ name, size, quantization, resident, expires_at }) => [
    name,
    size === null ? '-' : humanBytes(size),
    quantization || '-',
    resident ? 'loaded' : '-',
    resident ? expiryText(expires_at, io.clock.now()) : '-',
  ])
  return renderTable(['NAME', 'SIZE', 'QUANTIZATION', 'RESIDENT', 'EXPIRES'], cells, createStyle(io), ['SIZE'], {
    columns: io.stdout.columns,
    narrow: [['NAME', 20]],
  })
}

/** Ollama writes "for ever" as a date about 292 years ahead. */
const foreverMs = 100 * 365 * 24 * 3_600_000

const expiryText = (expiresAt: string | null, nowMs: number) => {
  const leftMs = expiresAt === null ? Number.NaN : new Date(expiresAt).getTime() - nowMs
  if (Number.isNaN(leftMs)) return '-'
  if (leftMs > foreverMs) return 'never'
  return leftMs <= 0 ? 'stopping' : `in ${humanSpan(leftMs)}`
}
