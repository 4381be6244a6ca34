/** Keeps one server running: begins it, hears when it ends or fails its judgements, restarts it within the ladder's bounds, and says so; it must never end what it did not start. */
import type { Clock } from '../../domain/clock.ts'
import { createLoop, type Loop } from '../../loop/loop.ts'
import type { Health } from './health.ts'
import type { Ladder } from './ladder.ts'
import { whenReady } from './ready.ts'
import type { Begun, Server } from './server.ts'
import type { Told } from './told.ts'
import type { Trouble } from './trouble.ts'

export type Standing =
  | { readonly kind: 'starting' | 'running' | 'restarting' }
  /** It waits for its next try. */
  | { readonly kind: 'waiting' | 'quarantined'; readonly trouble: Trouble; readonly nextMs: number }
  /** There is nothing that could be restarted from here, or it is somebody else's. */
  | { readonly kind: 'conflict' | 'missing' | 'down'; readonly words: string }

export interface KeeperDeps {
  readonly server: Server
  readonly health: Health
  readonly ladder: Ladder
  readonly told: Told
  /** Whether an Ollama answers `GET /`. */
  readonly answers: (signal: AbortSignal) => Promise<boolean>
  /** A pull is under way, which an end would throw away. */
  readonly isTransferring: () => boolean
  readonly clock: Clock
  readonly failed: (error: unknown) => void
}

const TICK_MS = 1_000
const WAIT_MS = 5_000
const AGAIN_MS = 30_000

/** The keeper of one server; nothing happens before `start`. */
export class Keeper {
  readonly #deps: KeeperDeps
  readonly #loop: Loop
  #standing: Standing = { kind: 'starting' }
  #trouble: Trouble | null = null
  #lookAgainMs = 0

  constructor(deps: KeeperDeps) {
    this.#deps = deps
    const { clock, failed } = deps
    this.#loop = createLoop({ name: 'keeper', clock, failed, body: (signal) => this.#turn(signal) })
    deps.server.onEnd(() => this.#loop.nudge())
  }

  get standing(): Standing {
    return this.#standing
  }

  start(): void {
    this.#loop.start()
  }

  /** The server goes on: the next foreman takes it up. */
  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /** Somebody saw that it does not do its work. */
  trouble(cause: string, evidence: string): void {
    if (this.#standing.kind !== 'running' || this.#trouble !== null) return
    this.#trouble = { cause, evidence, sinceMs: this.#deps.clock.monotonicMs() }
    this.#loop.nudge()
  }

  async #turn(signal: AbortSignal): Promise<number> {
    const standing = this.#standing
    switch (standing.kind) {
      case 'starting':
        await this.#first(signal)
        return TICK_MS
      case 'running':
        await this.#watch(signal)
        return this.#deps.server.lookEveryMs
      case 'restarting':
      case 'waiting':
      case 'quarantined':
        return this.#wait(signal)
      case 'conflict':
      case 'missing':
      case 'down':
        await this.#lookAgain(signal)
        return TICK_MS
      default:
        return standing satisfies never
    }
  }

  async #first(signal: AbortSignal): Promise<void> {
    const { server, clock, told, ladder } = this.#deps
    const nowMs = clock.monotonicMs()
    const begun = await server.begin(signal)
    const evidence = await whenReady(this.#deps, begun, signal)
    if (signal.aborted) return
    if (evidence === null) {
      if (begun.kind === 'begun') told.begun(begun.how, server.pid)
      this.#runs()
    } else if (begun.kind === 'conflict' || begun.kind === 'missing') {
      this.#cannot(begun)
    } else {
      // The first of its three tries.
      ladder.tried('start', nowMs)
      this.#fails({ cause: 'start', evidence, sinceMs: clock.monotonicMs() })
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { server, health, ladder, told, clock } = this.#deps
    const nowMs = clock.monotonicMs()
    server.upkeep()
    told.restarts(ladder.lately(nowMs))
    const trouble = this.#trouble ?? this.#noticed(nowMs)
    if (trouble !== null) {
      this.#fails(trouble)
      await this.#cure(trouble, signal)
      return
    }
    health.look(signal)
    if (health.healthySinceMs !== null) ladder.healthy(health.healthySinceMs, nowMs)
  }

  #noticed(sinceMs: number): Trouble | null {
    const { server, health } = this.#deps
    if (server.hasEnded() === true) {
      const words = server.lastWords()
      return { cause: 'died', evidence: words === '' ? 'its process has ended' : words, sinceMs }
    }
    return health.isDown ? { cause: 'hung', evidence: health.report.reason, sinceMs } : null
  }

  /** Until the next step on the ladder; one that was late may be ready meanwhile, or somebody else has cured it. */
  async #wait(signal: AbortSignal): Promise<number> {
    const trouble = this.#trouble
    if (trouble === null || (await this.#isWellAgain(signal))) {
      if (!signal.aborted) this.#recovered()
      return TICK_MS
    }
    await this.#cure(trouble, signal)
    if (this.#standing.kind !== 'waiting' && this.#standing.kind !== 'quarantined') return TICK_MS
    const leftMs = this.#standing.nextMs - this.#deps.clock.monotonicMs()
    // Due, and yet it waits: for the end of a transfer.
    return leftMs <= 0 ? TICK_MS : Math.min(WAIT_MS, leftMs)
  }

  /** One step on the ladder, if it is time for it. */
  async #cure(trouble: Trouble, signal: AbortSignal): Promise<void> {
    const { server, ladder, told, clock, isTransferring } = this.#deps
    const nowMs = clock.monotonicMs()
    // What is dead carries no transfer; what only hangs for jobs may still be loading gigabytes.
    const isDue = ladder.next(trouble.cause, trouble.sinceMs).atMs <= nowMs
    if (!isDue) return
    if (isTransferring() && server.hasEnded() !== true) {
      told.waitsForTransfer(trouble)
      return
    }
    this.#standing = { kind: 'restarting' }
    const attempt = ladder.tried(trouble.cause, nowMs)
    const begun = await server.restart(signal)
    const evidence = await whenReady(this.#deps, begun, signal)
    if (signal.aborted) return
    const tookMs = clock.monotonicMs() - nowMs
    if (evidence === null) {
      told.restarted({ ...trouble, attempt, tookMs, pid: server.pid })
      this.#runs()
      return
    }
    const isImpossible = begun.kind === 'conflict' || begun.kind === 'missing'
    if (!isImpossible) told.restartFailed({ ...trouble, evidence, attempt, tookMs, pid: null })
    if (isImpossible) this.#cannot(begun)
    else this.#fails({ ...trouble, evidence, sinceMs: clock.monotonicMs() })
  }

  async #isWellAgain(signal: AbortSignal): Promise<boolean> {
    const { server, health, answers } = this.#deps
    if (this.#standing.kind === 'restarting' || !this.#isTimeToLook()) return false
    if (server.hasEnded() === true) return false
    if (health.isDown) {
      health.look(signal)
      await health.asking
      return !health.isDown
    }
    return server.hasEnded() === false && (await answers(signal)) && server.isAnswering()
  }

  /** Nobody can restart it from here: it is looked for, or watched until it works again. */
  async #lookAgain(signal: AbortSignal): Promise<void> {
    const { health } = this.#deps
    if (!this.#isTimeToLook()) return
    if (this.#standing.kind !== 'down') {
      await this.#first(signal)
      return
    }
    health.look(signal)
    await health.asking
    if (!signal.aborted && !health.isDown) this.#recovered()
  }

  #isTimeToLook(): boolean {
    const nowMs = this.#deps.clock.monotonicMs()
    if (nowMs < this.#lookAgainMs) return false
    this.#lookAgainMs = nowMs + AGAIN_MS
    return true
  }

  #runs(): void {
    const { health, told } = this.#deps
    this.#trouble = null
    this.#standing = { kind: 'running' }
    health.renewed()
    told.running()
  }

  #recovered(): void {
    this.#deps.told.recovered()
    this.#runs()
  }

  #fails(trouble: Trouble): void {
    const { ladder, told } = this.#deps
    this.#trouble = trouble
    const { atMs, isQuarantined } = ladder.next(trouble.cause, trouble.sinceMs)
    this.#lookAgainMs = trouble.sinceMs + AGAIN_MS
    this.#standing = { kind: isQuarantined ? 'quarantined' : 'waiting', trouble, nextMs: atMs }
    told.fails(trouble, { isQuarantined, atMs })
  }

  #cannot({ kind, words }: Extract<Begun, { kind: 'conflict' | 'missing' }>): void {
    const { server, health, told } = this.#deps
    const evidence = this.#trouble?.evidence
    this.#trouble = null
    this.#isTimeToLook()
    if (evidence === undefined) {
      this.#standing = { kind, words }
      told.cannot(kind, words)
    } else if (server.hasEnded() === null && !health.isDown) {
      // It works in part, and nobody may restart it: whoever can is told.
      this.#standing = { kind: 'running' }
      told.needsRestart(`${evidence}; ${words}`)
    } else {
      this.#standing = { kind: server.hasEnded() === null ? 'down' : kind, words }
      told.cannot(this.#standing.kind, `${evidence}; ${words}`)
    }
  }
}
