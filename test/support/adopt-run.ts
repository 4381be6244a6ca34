/** A foreman in a process of its own that adopts an Ollama on a hasty clock, for a look at its system calls: argv is the target's URL and a data directory. */

import { runForeman } from './foreman.ts'
import { createHastyClock } from './hasty-clock.ts'

const [target = '', dataDir = ''] = process.argv.slice(2)
const foreman = await runForeman(
  target,
  { FOREMAN_MANAGE: 'adopt', FOREMAN_DATA_DIR: dataDir },
  { clock: createHastyClock(60) },
)
process.on('SIGTERM', () => void foreman.stop().then(() => process.exit(0)))
process.stdout.write(`${foreman.url}\n`)
