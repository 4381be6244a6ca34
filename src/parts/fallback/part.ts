/** Has a waiting caller answered by a second server while the target is away, down or spent; it must never do so for the caller's own fault, nor without saying it. */
import type { Failure } from '../../domain/job/failure.ts'
import type { Outcome } from '../../domain/job/outcome.ts'
import type { Call } from '../../domain/wire/call.ts'
import { type HeaderPairs, headerOf } from '../../domain/wire/headers.ts'
import type { Caller } from '../../engine/caller.ts'
import type { Elsewhere } from '../../engine/elsewhere.ts'
import type { Part } from '../../engine/part.ts'
import type { Rescuer, Way } from '../../engine/rescue.ts'
import type { Stopper } from '../../engine/stopper.ts'
import { createAccount } from './account.ts'
import { errandFor, isNameable, isSendable, nameFor } from './errand.ts'
import { policyOf } from './policy.ts'
import type { FallbackPorts } from './settings.ts'
import { createTargetWatch } from './target-watch.ts'

const idle: Part = { start: () => undefined, stop: async () => undefined }

const marksOf = (who: 'target' | 'fallback', model: string): HeaderPairs => [
  ['X-Foreman-Served-By', who],
  ['X-Foreman-Model', model],
]

// The fallback's own no to anybody, not to this request: a missing key or plan.
const refusesAll: ReadonlySet<number> = new Set([401, 402])
// The same for one model or route: it may well help with others.
const refusesSome: ReadonlySet<number> = new Set([403, 404, 405])

/** What a refusal says about the fallback rather than about the request is no answer to its caller. */
const judged = (outcome: Outcome, origin: string): Outcome => {
  if (outcome.kind !== 'refused') return outcome
  const { status } = outcome.answer
  const away = {
    kind: 'away',
    message: `${origin} answered ${status}: ${outcome.message}`,
    retryAfterMs: null,
  } as const
  if (refusesSome.has(status)) return { ...away, isThere: true }
  return refusesAll.has(status) ? away : outcome
}

const unnameable: Outcome = { kind: 'unreached', message: 'the name of its model cannot be changed' }

interface Serving {
  readonly ports: FallbackPorts
  readonly place: Elsewhere
  readonly account: ReturnType<typeof createAccount>
}

const createServe =
  ({ ports, place, account }: Serving): Rescuer['serve'] =>
  async (caller: Caller, why: Failure | null, stopper: Stopper) => {
    const { call } = caller
    const { fallbackModels: models } = ports.settings
    const model = nameFor(models, call) ?? call.model
    // By the target's name it might be answered by another model than is said.
    if (!isNameable(models, caller)) return unnameable
    caller.mark?.(marksOf('fallback', model))
    const end = account.begin(call, model, why)
    const outcome = judged(await place.serve(caller, await errandFor(models, caller), stopper), place.origin)
    end(outcome, caller.committed)
    // Unless the answer is the fallback's own, the next one may be the target's.
    const isItsOwn = caller.committed || outcome.kind === 'done' || outcome.kind === 'refused'
    if (!isItsOwn) caller.mark?.(marksOf('target', call.model))
    return outcome
  }

/** The fallback of one target; without a server it does nothing. */
export const createFallback = (ports: FallbackPorts): Part => {
  const { settings, target, rescue, clock } = ports
  const { fallbackUrl: url, fallbackToken: token, fallbackModels: models, fallbackClients, fallbackAfterMs } = settings
  if (url === null) return idle
  const place = ports.elsewhere({ url, token })
  const account = createAccount(ports, place.origin)
  const watch = createTargetWatch(ports)

  const asksOf = ({ headers }: Caller): string | null => headerOf(headers, 'x-foreman-fallback') || null
  const policy = (caller: Caller) =>
    policyOf(fallbackClients, { asks: asksOf(caller), client: caller.client ?? null, job: caller.fallback })

  const afterMs = (): number => {
    const { down, absence } = target.view()
    if (down !== null || watch.isOpen) return 0
    return Math.max(0, fallbackAfterMs - (absence === null ? 0 : clock.now() - absence.since))
  }
  const rescuer: Rescuer = {
    lanes: settings.fallbackConcurrency,
    afterMs,
    wayOf({ call, asks, client }): Way {
      const word = policyOf(fallbackClients, { asks, client })
      const hasModel = nameFor(models, call) !== null
      if (word === 'only') return hasModel ? 'rescuer-only' : 'nowhere'
      return word === 'auto' && hasModel && watch.isOpen && account.mayAsk() ? 'rescuer-first' : 'target'
    },
    allows: (client) => policyOf(fallbackClients, { asks: null, client }) !== 'never',
    marks: ({ model }: Call) => marksOf('target', model),
    wants: (caller) => policy(caller) !== 'never' && isSendable(models, caller) && account.mayAsk(),
    serve: createServe({ ports, place, account }),
    servedBy: (call) => ({ who: 'fallback', model: nameFor(models, call) }),
  }
  rescue.use(rescuer)
  return {
    start() {
      watch.start()
      account.start()
    },
    async stop() {
      watch.stop()
      account.stop()
      place.close()
    },
    status: () => ({ url: place.origin, target_breaker: watch.isOpen ? 'open' : 'closed', ...account.status() }),
    facts: () => ({ fallback_rate: account.fact() }),
    metrics: () => [...account.metrics(), watch.metric()],
  }
}
