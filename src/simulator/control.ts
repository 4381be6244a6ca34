/** The control port: faults, counters and sleep over HTTP on a port of its own; it must never be reachable through the Ollama port. */
import type { Counters } from './counters.ts'
import type { Fault } from './fault.ts'
import { faultExamples, readFault } from './read-fault.ts'
import { readSettings, type Settings } from './settings.ts'

export interface ControlDeps {
  readonly hostname: string
  readonly port: number
  readonly counters: () => Counters
  readonly faults: () => Fault[]
  readonly residents: () => unknown
  readonly fault: (fault: Fault | null) => void
  readonly sleep: () => void
  readonly wake: () => void
  readonly settings: Settings
  readonly set: (change: Partial<Settings>) => void
}

export interface Control {
  readonly url: string
  stop(): void
}

const HELP = `GET  /counters    what was counted since start
GET  /residents   loaded models
GET  /faults      faults still waiting
POST /fault       commands one; null clears all
DELETE /fault     clears all
POST /sleep       half-open: accepts, answers nothing
POST /wake        takes everything up again
GET  /settings    delays, curve, slots
POST /settings    turns some of them: {"curve":[1,1.6,2.1,2.5],"deadlock":false}

Faults queue: each request takes the oldest whose "path" fits ("/api/chat", "/api/*"; default every one) and whose
"times" is not used up (default until cleared). The kinds:

${Object.values(faultExamples)
  .map(([example, says]) => `${example}\n    ${says}\n`)
  .join('')}`

const refused = (error: string) => Response.json({ error }, { status: 400 })

/** Reads a JSON body, or answers with one sentence about what is wrong with it. */
const withBody = async (request: Request, act: (value: unknown) => Response): Promise<Response> => {
  let value: unknown
  try {
    value = await request.json()
  } catch (error) {
    if (error instanceof SyntaxError) return refused('the body is not JSON')
    throw error
  }
  return act(value)
}

/** Opens the control port. */
export const startControl = (deps: ControlDeps): Control => {
  const done = (act: () => void) => () => {
    act()
    return Response.json({ faults: deps.faults() })
  }
  const command = (value: unknown) => {
    const fault = value === null ? null : readFault(value)
    if (typeof fault === 'string') return refused(fault)
    deps.fault(fault)
    return Response.json({ faults: deps.faults() })
  }
  const turn = (value: unknown) => {
    const change = readSettings(value)
    if (typeof change === 'string') return refused(change)
    deps.set(change)
    return Response.json(deps.settings)
  }
  const server = Bun.serve({
    hostname: deps.hostname,
    port: deps.port,
    development: false,
    routes: {
      '/': new Response(HELP),
      '/counters': { GET: () => Response.json(deps.counters()) },
      '/residents': { GET: () => Response.json(deps.residents()) },
      '/faults': { GET: () => Response.json(deps.faults()) },
      '/fault': { POST: (request) => withBody(request, command), DELETE: done(() => deps.fault(null)) },
      '/sleep': { POST: done(deps.sleep) },
      '/wake': { POST: done(deps.wake) },
      '/settings': { GET: () => Response.json(deps.settings), POST: (request) => withBody(request, turn) },
    },
    fetch: () => new Response(HELP, { status: 404 }),
  })
  return {
    url: `http://${deps.hostname.includes(':') ? `[${deps.hostname}]` : deps.hostname}:${server.port}`,
    stop: () => void server.stop(true),
  }
}
