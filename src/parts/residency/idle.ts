/** FOREMAN_IDLE_UNLOAD: what nobody has worked on for so long is unloaded, but for pins and the warm embedder; it must never take a model from a call. */
import type { Reading } from '../../domain/reading.ts'
import type { ResidentModel } from '../../domain/wire/inventory.ts'
import { canonicalName } from '../../domain/wire/model-name.ts'
import type { PartPorts } from '../../engine/part.ts'

export interface IdleUnload {
  start(): void
  stop(): Promise<void>
  told(): unknown
  metrics(): readonly Reading[]
}

interface IdlePorts extends Pick<PartPorts<never>, 'bus' | 'clock' | 'notice' | 'quiet' | 'target'> {
  /** Stays whatever happens. */
  readonly isPinned: (canonicalModel: string) => boolean
  readonly idleMs: number
}

// Often enough to be near the time that was asked for, seldom enough to cost nothing.
const LOOKS = 10
const LOOK_LEAST_MS = 1_000
const LOOK_MOST_MS = 30_000

class Idleness implements IdleUnload {
  readonly #ports: IdlePorts
  readonly #halt = new AbortController()
  readonly #ends: (() => void)[] = []
  /** Models that another part keeps warm. */
  readonly #warm = new Set<string>()
  /** Told to go since the last work: one that stays is at work for somebody else. */
  readonly #told = new Set<string>()
  #cancelLook = () => {}
  #unloading: Promise<unknown> | null = null
  #calls = 0
  #workedAtMs: number
  #unloaded = 0

  constructor(ports: IdlePorts) {
    this.#ports = ports
    this.#workedAtMs = ports.clock.monotonicMs()
  }

  start(): void {
    const { bus, clock } = this.#ports
    const worked = () => {
      this.#workedAtMs = clock.monotonicMs()
    }
    const kinds = ['job_submitted', 'job_done', 'job_failed', 'job_cancelled', 'job_requeued'] as const
    for (const kind of kinds) this.#ends.push(bus.on(kind, 'residency', worked))
    const warmed = bus.on('noticed', 'residency', ({ name, fields }) => {
      if (name === 'embedder_warmed') this.#warm.add(canonicalName(String(fields['model'])) ?? '')
    })
    this.#ends.push(warmed)
    this.#lookLater()
  }

  async stop(): Promise<void> {
    this.#halt.abort()
    for (const end of [this.#cancelLook, ...this.#ends]) end()
    await this.#unloading
  }

  told(): unknown {
    return { after_seconds: this.#ports.idleMs / 1_000, unloaded: this.#unloaded }
  }

  metrics(): readonly Reading[] {
    const samples = [{ value: this.#unloaded }]
    return [
      { name: 'foreman_idle_unloads_total', help: 'Models unloaded because nobody worked', type: 'counter', samples },
    ]
  }

  #lookLater(): void {
    const { clock, idleMs } = this.#ports
    const everyMs = Math.min(LOOK_MOST_MS, Math.max(LOOK_LEAST_MS, idleMs / LOOKS))
    this.#cancelLook = clock.after(everyMs, () => {
      this.#lookLater()
      this.#unloading ??= this.#look().finally(() => {
        this.#unloading = null
      })
    })
  }

  /** Calls past the queue tell nothing on the bus: they are counted. */
  #isIdle(): boolean {
    const { target, clock, idleMs } = this.#ports
    const { begun, isOpen } = target.calls()
    if (begun !== this.#calls || isOpen) this.#workedAtMs = clock.monotonicMs()
    this.#calls = begun
    const isIdle = clock.monotonicMs() - this.#workedAtMs >= idleMs
    if (!isIdle) this.#told.clear()
    return isIdle
  }

  #idleModels(): ResidentModel[] {
    const { target, isPinned } = this.#ports
    const stays = (model: string) => isPinned(model) || this.#warm.has(model) || this.#told.has(model)
    return target.residency().residents.filter(({ canonical }) => !stays(canonical))
  }

  async #look(): Promise<void> {
    const { target, quiet } = this.#ports
    if (!this.#isIdle() || !target.view().reachable || this.#idleModels().length === 0) return
    await quiet.run((signal) => this.#unloadAll(signal), this.#halt.signal)
  }

  async #unloadAll(signal: AbortSignal): Promise<void> {
    const { target, notice } = this.#ports
    await target.refresh()
    for (const { name, canonical } of this.#idleModels()) {
      if (signal.aborted || !this.#isIdle()) return
      const asked = await target.unload(name, signal)
      if (asked.kind === 'failed') return
      this.#told.add(canonical)
      this.#unloaded++
      notice('info', 'idle_unloaded', { model: name })
    }
  }
}

/** `idleMs` 0: nothing is ever unloaded. */
export const createIdleUnload = (ports: IdlePorts): IdleUnload | null =>
  ports.idleMs === 0 ? null : new Idleness(ports)
