/** `foreman cancel`: ends jobs that are not final yet; it must never call a job cancelled that was not. */
import { createClient } from './client.ts'
import { type Command, exitCode } from './command.ts'
import { readFlags } from './flags.ts'
import { pathOf, readIds, readJob, reportProblem } from './job.ts'

const help = `foreman cancel takes jobs out of the queue, or stops the one that runs.

Usage:  foreman cancel ID… [--json]

  --json    print each cancelled job on a line of its own

A job that is done, failed or cancelled already stays what it is.

Exit codes: 0 all were cancelled, 1 one was final already or does not exist, 2 usage, 3 no foreman answered, 4 token.

Examples:
  foreman cancel 01JQZX4T8M9V2K7C5N3B6D1F0G
  foreman list --state queued --all --ids | xargs -r foreman cancel
`

// The answer comes when the target has been called off.
const CANCEL_MS = 30_000

export const cancelCommand: Command = {
  help,
  async run(args, io) {
    const known = { json: { type: 'boolean' } } as const
    const flags = readFlags(args, known, { io, help, restMax: Number.POSITIVE_INFINITY })
    if (flags.kind === 'exit') return flags.code
    const ids = readIds(io, flags.rest)
    if ('code' in ids) return ids.code
    const created = createClient(io)
    if (created.kind === 'exit') return created.code
    const { client } = created
    let code: number = exitCode.ok
    for (const id of ids) {
      const path = pathOf(id)
      const reply = await client.request('DELETE', path, { timeoutMs: CANCEL_MS })
      const job = reply.kind === 'answered' && reply.status === 200 ? readJob(reply.json) : null
      if (job !== null) {
        io.stdout.write(flags.values.json ? `${JSON.stringify(job.json)}\n` : `${job.id}  ${job.state}\n`)
        continue
      }
      code = reportProblem(io, client, path, reply, ids.length > 1 ? id : null)
      if (code !== exitCode.no) return code
    }
    return code
  },
}
