/** Straight to the target and back, beside the queue: bypass and control routes; it must never wait behind a generation. */
import { backoffMs } from '../../domain/backoff.ts'
import type { Clock } from '../../domain/clock.ts'
import { type Failure, failure, failureFromCode } from '../../domain/job/failure.ts'
import { HOPS_HEADER } from '../../domain/wire/hops.ts'
import type { Awaited } from '../../engine/awaited.ts'
import type { Patience } from '../../engine/patience.ts'
import type { TargetState } from '../../engine/state.ts'
import { refusal, refuse } from '../refuse.ts'
import { type AttemptDeps, attempt, createFresh, type Tried } from './attempt.ts'
import type { Forward, ForwardOptions } from './forwarding.ts'
import { createGlance, createWatches, type WatchDeps } from './watch.ts'

export interface ForwardDeps extends Omit<AttemptDeps, 'fresh' | 'glance' | 'watch'>, Pick<WatchDeps, 'probe'> {
  readonly state: Pick<TargetState, 'view' | 'onReachability' | 'absenceWords'>
  readonly random: () => number
  /** A stopwatch for one caller. */
  readonly patience: () => Patience
  readonly awaited: Pick<Awaited, 'begin' | 'over'>
}

interface Waiting {
  readonly clock: Clock
  readonly state: ForwardDeps['state']
  readonly signals: readonly AbortSignal[]
}

/** Resolves when the target is back, the time is up, or nobody waits any more. */
const pause = ({ clock, state, signals }: Waiting, waitMs: number) =>
  new Promise<void>((resolve) => {
    const finish = () => {
      cancel()
      unsubscribe()
      for (const signal of signals) signal.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = clock.after(waitMs, finish)
    const unsubscribe = state.onReachability((reachable) => {
      if (reachable) finish()
    })
    for (const signal of signals) signal.addEventListener('abort', finish, { once: true })
  })

const reasonOf = (tried: Exclude<Tried, { kind: 'response' | 'left' }>, { state }: ForwardDeps): Failure => {
  switch (tried.kind) {
    case 'away':
      return failure('unreachable', state.absenceWords(tried.message))
    case 'foreign':
      return failure('not_ollama', tried.message)
    case 'broken':
      return failureFromCode(tried.code, tried.message)
    case 'unsendable':
      return failure('refused', tried.message)
    default:
      return tried satisfies never
  }
}

/** What the client is told when there is no answer. */
const unanswered = (tried: Exclude<Tried, { kind: 'response' }>, deps: ForwardDeps, options: ForwardOptions) => {
  if (tried.kind === 'left') return new Response(null, { status: 499 })
  if (tried.kind === 'unsendable') return refusal(options.flavour, 400, tried.message)
  return refuse(options.flavour, reasonOf(tried, deps))
}

/** What may have run already is not given to anybody else. */
const helped = async (tried: Exclude<Tried, { kind: 'response' }>, deps: ForwardDeps, options: ForwardOptions) => {
  if (options.standIn === undefined || tried.kind === 'left' || tried.kind === 'unsendable') return null
  const mayHaveRun = tried.kind === 'broken' || (tried.kind === 'away' && tried.sent)
  return mayHaveRun && !options.repeatable ? null : options.standIn.serve(reasonOf(tried, deps))
}

/** The forwarder of one target. */
export const createForward = (deps: ForwardDeps): Forward => {
  const { clock, state, random, awaited } = deps
  const glance = createGlance(deps)
  const watch = createWatches({ ...deps, glance, onReachability: state.onReachability })
  const attemptDeps: AttemptDeps = { ...deps, glance, watch, fresh: createFresh(clock) }

  /** What is known to be away is not sent to, it would swallow the request; what answers in its place may have its say, and another foreman the truth. */
  const maySend = async (request: Request, { patient }: ForwardOptions) => {
    if (patient && state.view.down !== null) return false
    if (request.headers.has(HOPS_HEADER)) return true
    const answering = await glance()
    if (answering.kind === 'away') return !patient && answering.reached
    deps.lookNow()
    return true
  }

  return async (request, options) => {
    const own: { stopwatch?: Patience } = {}
    const patience = () => {
      own.stopwatch ??= deps.patience()
      return own.stopwatch
    }
    const mayWait = options.patient && options.body !== 'stream'
    let release: (() => void) | null = null
    try {
      for (let tries = 1; ; tries++) {
        const beganAtMs = clock.monotonicMs()
        if (state.view.reachable) own.stopwatch?.present()
        const isThere = state.view.reachable || (await maySend(request, options))
        const absent: Tried = { kind: 'away', message: '', sent: false }
        const tried = isThere ? await attempt(attemptDeps, request, options, { patience, tries }) : absent
        if (tried.kind === 'response') return options.standIn?.mark(tried.response) ?? tried.response
        const instead = tried.kind === 'left' || tried.kind === 'unsendable' ? null : options.instead?.()
        if (instead) return instead
        const isMissing = tried.kind === 'foreign' || (tried.kind === 'away' && (options.repeatable || !tried.sent))
        if (!mayWait || !isMissing) return (await helped(tried, deps, options)) ?? unanswered(tried, deps, options)
        patience().absent(beganAtMs)
        release ??= awaited.begin()
        const helpMs = options.standIn?.afterMs() ?? Number.POSITIVE_INFINITY
        const isDue = helpMs <= 0 || patience().leftMs() <= 0
        const help = options.standIn !== undefined && isDue ? await helped(tried, deps, options) : null
        if (help !== null) return help
        const leftMs = patience().leftMs()
        if (leftMs <= 0 || request.signal.aborted) return unanswered(tried, deps, options)
        if (awaited.over.aborted) return refuse(options.flavour, failure('draining'))
        // Where the target is there for others, this request comes again; else its return is waited for.
        const untilMs = helpMs > 0 ? Math.min(leftMs, helpMs) : leftMs
        const waitMs = state.view.reachable ? Math.min(backoffMs(tries, random()), untilMs) : untilMs
        await pause({ clock, state, signals: [request.signal, awaited.over] }, waitMs)
      }
    } finally {
      own.stopwatch?.present()
      release?.()
    }
  }
}
