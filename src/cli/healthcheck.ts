/** `foreman healthcheck`: one request and an exit code for container health checks; it must never take longer than 3 s. */
import { createClient, type Reply } from './client.ts'
import { type Command, exitCode, type Io } from './command.ts'
import { readFlags } from './flags.ts'

const help = `foreman healthcheck asks a running foreman whether it is alive and answers by exit code.

Usage:  foreman healthcheck [--ready] [--json]

  --ready   ask /readyz (accepts work and can write) instead of /livez (its loops tick)
  --json    print {"ok":…,"status":…} instead of a word

It waits at most 3 s. Images need no curl for it:
  HEALTHCHECK CMD ["foreman", "healthcheck"]

Exit codes: 0 yes, 1 no, or nothing answered. Nothing else, because Docker reserves 2.
`

const timeoutMs = 3000

export const healthcheckCommand: Command = {
  help,
  async run(args: readonly string[], io: Io) {
    const flags = readFlags(args, { ready: { type: 'boolean' }, json: { type: 'boolean' } }, { io, help })
    if (flags.kind === 'exit') return flags.code === exitCode.ok ? exitCode.ok : exitCode.no
    const created = createClient(io)
    if (created.kind === 'exit') return exitCode.no
    const reply = await created.client.request('GET', flags.values.ready ? '/readyz' : '/livez', { timeoutMs })
    const isOk = reply.kind === 'answered' && reply.status === 200
    if (flags.values.json) io.stdout.write(`${JSON.stringify({ ok: isOk, ...described(reply) })}\n`)
    else if (isOk) io.stdout.write('ok\n')
    else io.stderr.write(`foreman: ${why(reply)}\n`)
    return isOk ? exitCode.ok : exitCode.no
  },
}

const described = (reply: Reply) =>
  reply.kind === 'answered' ? { status: reply.status } : { status: null, error: reply.message }

const why = (reply: Reply) =>
  reply.kind === 'answered' ? `unhealthy: ${reply.status} ${reply.text.slice(0, 200).trim()}` : reply.message
