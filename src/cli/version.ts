/** `foreman version`: which foreman this is; it must never talk to anything. */
import { type Command, exitCode, type Io } from './command.ts'
import { readFlags } from './flags.ts'

const help = `foreman version prints the version of this executable.

Usage:  foreman version [--json]

Examples:
  foreman version             # foreman 0.1.0 (bun 1.4.5, linux-x64)
  foreman version --json      # {"version":"0.1.0","bun":"1.4.5", ...}
`

export const versionCommand: Command = {
  help,
  async run(args: readonly string[], io: Io) {
    const flags = readFlags(args, { json: { type: 'boolean' } }, { io, help })
    if (flags.kind === 'exit') return flags.code
    const about = { version: io.version, bun: Bun.version, platform: io.platform }
    io.stdout.write(
      flags.values.json
        ? `${JSON.stringify(about)}\n`
        : `foreman ${about.version} (bun ${about.bun}, ${about.platform})\n`,
    )
    return exitCode.ok
  },
}
