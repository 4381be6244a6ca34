/** The server of `own`: what is found decides, and is looked for anew as long as there is none. */
import type { AdoptedServerDeps } from './adopted-server.ts'
import { createAdoptedServer } from './adopted-server.ts'
import { type Plan, planFor, type Situation } from './places.ts'
import type { Begun, Server } from './server.ts'

export interface ChosenServerDeps {
  readonly own: Server
  readonly look: () => Promise<Situation>
  readonly adopted: Omit<AdoptedServerDeps, 'startCommand' | 'restartCommand'>
  /** The owner's, which goes before the app's own. */
  readonly restartCommand: string | null
}

export const createChosenServer = ({ own, look, adopted, restartCommand }: ChosenServerDeps): Server => {
  let chosen: Server | null = null
  const serverOf = (plan: Extract<Plan, { kind: 'child' | 'app' }>): Server =>
    plan.kind === 'child'
      ? own
      : createAdoptedServer({
          ...adopted,
          startCommand: plan.start,
          restartCommand: restartCommand ?? plan.restart,
        })
  const begin = async (signal: AbortSignal): Promise<Begun> => {
    const plan = planFor(await look())
    if (plan.kind === 'conflict' || plan.kind === 'missing') return plan
    chosen = serverOf(plan)
    return chosen.begin(signal)
  }
  return {
    begin,
    restart: (signal) => (chosen === null ? begin(signal) : chosen.restart(signal)),
    get pid() {
      return chosen?.pid ?? null
    },
    get lookEveryMs() {
      return chosen?.lookEveryMs ?? 1_000
    },
    hasEnded: () => chosen?.hasEnded() ?? null,
    isAnswering: () => chosen?.isAnswering() ?? false,
    upkeep: () => chosen?.upkeep(),
    lastWords: () => chosen?.lastWords() ?? '',
    cpuTicks: () => chosen?.cpuTicks() ?? null,
    onEnd: own.onEnd.bind(own),
  }
}
