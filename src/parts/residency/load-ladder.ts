/** What is done about a load that does not come about, step by step (ADR 0023): room first, then another try, then whoever may restart the target; never about one that may only be slow. */
import type { Clock } from '../../domain/clock.ts'
import type { Reading } from '../../domain/reading.ts'
import { displayNameOf } from '../../domain/wire/model-name.ts'
import type { Advice, LoadDoctor, SilentLoad } from '../../engine/load-doctor.ts'
import type { PartPorts } from '../../engine/part.ts'

export interface LoadLadder extends LoadDoctor {
  told(): unknown
  metrics(): readonly Reading[]
  /** These models are loaded: what was wrong with them is over. */
  seen(canonicalModels: readonly string[]): void
}

interface LadderPorts extends Pick<PartPorts<never>, 'notice' | 'alarm'> {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly loadTimeoutMs: number
}

/** How far a load has come on the ladder. */
interface Rung {
  readonly beganAtMs: number
  readonly unloadedAtMs: number
  isRestartAsked: boolean
}

const steps = ['unload', 'give-back', 'restart', 'give-up'] as const
type Step = (typeof steps)[number]

const USUAL_TIMES = 3
// What took no time was no load, and says nothing about one.
const LOAD_LEAST_MS = 1_000
const USUAL_MORE_MS = 120_000
// Measured on a real server: an unload frees everything behind it within 8 s.
const AFTER_UNLOAD_MS = 30_000
// Whoever may restart the target has so long to say that it is down.
const AFTER_RESTART_MS = 5_000
const AGAIN_WITHIN_MS = 10 * 60_000
const LOOK_MS = 15_000

class Ladder implements LoadLadder {
  readonly #ports: LadderPorts
  readonly #rungs = new Map<string, Rung>()
  /** When a load of this model was given back last. */
  readonly #gaveBackAtMs = new Map<string, number>()
  readonly #counts: Record<Step, number> = { unload: 0, 'give-back': 0, restart: 0, 'give-up': 0 }
  #alarmed: string | null = null

  constructor(ports: LadderPorts) {
    this.#ports = ports
  }

  boundMs(usualMs: number | null): number {
    const { loadTimeoutMs } = this.#ports
    return usualMs === null || usualMs < LOAD_LEAST_MS
      ? loadTimeoutMs
      : Math.min(loadTimeoutMs, USUAL_TIMES * usualMs + USUAL_MORE_MS)
  }

  advise({ model, silentMs, usualMs, isBusy }: SilentLoad): Advice {
    const nowMs = this.#ports.clock.monotonicMs()
    const beganAtMs = nowMs - silentMs
    const leftMs = this.boundMs(usualMs) - silentMs
    if (leftMs > 0) return { kind: 'wait', againMs: leftMs }
    const rung = this.#rungs.get(model)
    // The loads of one model come one after the other; those of one load began together.
    if (rung === undefined || rung.beganAtMs < beganAtMs - 1_000) return this.#makeRoom(model, beganAtMs, silentMs)
    const waitMs = rung.unloadedAtMs + AFTER_UNLOAD_MS - nowMs
    if (waitMs > 0) return { kind: 'wait', againMs: waitMs }
    // Somebody else's work is let end, however long it takes.
    if (isBusy) return { kind: 'wait', againMs: LOOK_MS }
    const lastAtMs = this.#gaveBackAtMs.get(model) ?? Number.NEGATIVE_INFINITY
    const isAgain = beganAtMs - lastAtMs < AGAIN_WITHIN_MS
    if (isAgain && !rung.isRestartAsked) return this.#askRestart(model, rung, silentMs)
    return this.#giveUp(model, silentMs, isAgain)
  }

  told(): unknown {
    const some = steps.filter((step) => this.#counts[step] > 0)
    if (some.length === 0) return undefined
    return { ...Object.fromEntries(some.map((step) => [step, this.#counts[step]])), now: this.#wordsNow() }
  }

  metrics(): readonly Reading[] {
    const samples = steps.map((step) => ({ value: this.#counts[step], labels: { step } }))
    return [{ name: 'foreman_load_hangs_total', help: 'Steps taken about loads that hung', type: 'counter', samples }]
  }

  seen(canonicalModels: readonly string[]): void {
    for (const model of canonicalModels) {
      this.#rungs.delete(model)
      if (this.#alarmed !== model) continue
      this.#alarmed = null
      this.#ports.alarm('load_hangs', null)
    }
  }

  #wordsNow(): string | null {
    const [model] = this.#rungs.keys()
    return model === undefined ? null : `the last load of ${displayNameOf(model)} did not come about`
  }

  #tell(model: string, step: Step, silentMs: number): void {
    this.#counts[step]++
    const name = displayNameOf(model)
    this.#ports.notice('warn', 'load_hangs', { model: name, step, silent_ms: Math.round(silentMs) })
  }

  #makeRoom(model: string, beganAtMs: number, silentMs: number): Advice {
    const unloadedAtMs = this.#ports.clock.monotonicMs()
    this.#rungs.set(model, { beganAtMs, unloadedAtMs, isRestartAsked: false })
    this.#tell(model, 'unload', silentMs)
    return { kind: 'make-room', againMs: AFTER_UNLOAD_MS }
  }

  #askRestart(model: string, rung: Rung, silentMs: number): Advice {
    rung.isRestartAsked = true
    this.#alarmed = model
    const name = displayNameOf(model)
    this.#ports.alarm('load_hangs', `${name} does not load: two loads in a row hung although the target answers`)
    this.#tell(model, 'restart', silentMs)
    return { kind: 'wait', againMs: AFTER_RESTART_MS }
  }

  #giveUp(model: string, silentMs: number, isAgain: boolean): Advice {
    this.#gaveBackAtMs.set(model, this.#ports.clock.monotonicMs())
    this.#tell(model, isAgain ? 'give-up' : 'give-back', silentMs)
    const message = `${displayNameOf(model)} had not loaded after ${Math.round(silentMs / 1_000)} s although the target answers`
    return { kind: 'give-up', why: { kind: 'hung', message, isAgain } }
  }
}

/** No load has hung yet. */
export const createLoadLadder = (ports: LadderPorts): LoadLadder => new Ladder(ports)
