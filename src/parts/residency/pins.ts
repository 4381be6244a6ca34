/** Keeps pinned models loaded in quiet moments (ADR 0028); it must never push out what runs or waits, nor one pin for another again and again. */
import type { Reading } from '../../domain/reading.ts'
import { displayNameOf } from '../../domain/wire/model-name.ts'
import { modelOfKey } from '../../domain/wire/residency.ts'
import type { Loaded } from '../../engine/loader.ts'
import type { PartPorts } from '../../engine/part.ts'
import { type Calm, createCalm, doubled, SOON_MS } from './calm.ts'
import { createPin, isInPlace, type Pin, type PinTold } from './pin.ts'

export interface Pins {
  start(): void
  stop(): Promise<void>
  has(canonicalModel: string): boolean
  told(): readonly PinTold[]
  metrics(): readonly Reading[]
}

type PinsPorts = Pick<PartPorts<never>, 'bus' | 'clock' | 'notice' | 'quiet' | 'target'> & {
  readonly pins: readonly Pin[]
  readonly loadTimeoutMs: number
}

const RETRY_FIRST_MS = 60_000

const wordsOf = (loaded: Exclude<Loaded, 'loaded'>): string => {
  if (typeof loaded === 'string') return 'the target refuses to load it'
  if (loaded.kind === 'broken') return loaded.failure.message
  return 'message' in loaded ? (loaded.message ?? loaded.kind) : loaded.kind
}

class PinKeeper implements Pins {
  readonly #ports: PinsPorts
  readonly #calm: Calm
  readonly #halt = new AbortController()
  readonly #ends: (() => void)[] = []
  readonly #justLoaded = new Set<Pin>()
  readonly #loads = { loaded: 0, gave_way: 0, failed: 0 }
  #restoring: Promise<void> | null = null
  #hasWarned = false
  #cancelLook = () => {}

  constructor(ports: PinsPorts) {
    this.#ports = ports
    this.#calm = createCalm(ports.clock)
  }

  start(): void {
    const { target, bus } = this.#ports
    this.#ends.push(
      target.onPolled(() => {
        if (this.#restoring === null) this.#justLoaded.clear()
        this.#observe()
      }),
      target.onReachability((reachable) => reachable && this.#forgive()),
      bus.on('job_loading', 'residency', ({ residencyKey }) => this.#wanted(residencyKey)),
      bus.on('job_working', 'residency', this.#calm.worked),
      bus.on('job_done', 'residency', this.#calm.worked),
    )
  }

  async stop(): Promise<void> {
    this.#halt.abort()
    for (const end of [this.#cancelLook, ...this.#ends]) end()
    await this.#restoring
  }

  has(canonicalModel: string): boolean {
    return this.#ports.pins.some(({ canonical }) => canonical === canonicalModel)
  }

  told(): readonly PinTold[] {
    return this.#ports.pins.map((pin) => ({
      model: pin.name,
      loaded: this.#isLoaded(pin),
      ...(!this.#isInstalled(pin) && { installed: false as const }),
      ...(pin.isGivenUp && { given_up: 'it pushes out a pin that stands before it' }),
      ...(pin.failures > 0 && { failures: pin.failures }),
    }))
  }

  metrics(): readonly Reading[] {
    const samples = this.#ports.pins.map((pin) => ({
      value: Number(this.#isLoaded(pin)),
      labels: { model: displayNameOf(pin.canonical) },
    }))
    const loads = Object.entries(this.#loads).map(([outcome, value]) => ({ value, labels: { outcome } }))
    return [
      { name: 'foreman_pin_loaded', help: 'Whether a pinned model is loaded', type: 'gauge', samples },
      {
        name: 'foreman_pin_loads_total',
        help: 'Loads of pinned models in quiet moments',
        type: 'counter',
        samples: loads,
      },
    ]
  }

  #isLoaded({ canonical }: Pin): boolean {
    return this.#ports.target.residency().residents.some((resident) => resident.canonical === canonical)
  }

  /** Nobody knows before the first poll. */
  #isInstalled({ canonical }: Pin): boolean {
    const { inventory } = this.#ports.target.view()
    return inventory.size === 0 || inventory.has(canonical)
  }

  /** A target that comes back may have been given more room. */
  #forgive(): void {
    this.#calm.forgive()
    for (const pin of this.#ports.pins) {
      pin.isGivenUp = false
      pin.failures = 0
      pin.notBeforeMs = 0
    }
  }

  #observe(): void {
    if (this.#halt.signal.aborted || this.#restoring !== null || this.#next() === null) return
    this.#cancelLook()
    const leftMs = this.#calmLeftMs()
    if (leftMs > 0) {
      this.#cancelLook = this.#ports.clock.after(leftMs, () => this.#observe())
      return
    }
    this.#restoring = this.#restore().finally(() => {
      this.#restoring = null
    })
  }

  async #restore(): Promise<void> {
    const { quiet, target } = this.#ports
    while (!this.#halt.signal.aborted && target.view().reachable && this.#next() !== null && this.#calmLeftMs() <= 0) {
      const { kind } = await quiet.run((signal) => this.#loadNext(signal), this.#halt.signal)
      if (kind === 'over') return
    }
  }

  /** The first pin that is not in its place and may be put there now. */
  #next(): Pin | null {
    const { pins, target, clock } = this.#ports
    const nowMs = clock.monotonicMs()
    const { residents, loadedKeys } = target.residency()
    const isDue = (pin: Pin) =>
      !pin.isGivenUp && !this.#justLoaded.has(pin) && nowMs >= pin.notBeforeMs && this.#isInstalled(pin)
    return pins.find((pin) => isDue(pin) && !isInPlace(pin, residents, loadedKeys, clock.now())) ?? null
  }

  /** How long nothing must run any more before a pin is loaded. */
  #calmLeftMs(): number {
    return this.#calm.leftMs(this.#ports.target.working().length > 0)
  }

  async #loadNext(gaveWay: AbortSignal): Promise<void> {
    const { target, clock } = this.#ports
    await target.refresh()
    const pin = gaveWay.aborted || this.#calmLeftMs() > 0 ? null : this.#next()
    if (pin === null) return
    const before = target.residency().residents.map(({ canonical }) => canonical)
    const late = new AbortController()
    const cancel = clock.after(this.#ports.loadTimeoutMs, () => late.abort())
    const until = AbortSignal.any([this.#halt.signal, late.signal])
    const loaded = await target.load({ model: pin.name, numCtx: pin.numCtx, keepAlive: -1 }, until)
    cancel()
    if (this.#halt.signal.aborted) return
    if (loaded === 'loaded') await this.#loaded(pin, before)
    else if (gaveWay.aborted) {
      this.#loads.gave_way++
      this.#calm.interrupted()
    } else this.#failed(pin, late.signal.aborted ? 'the load took too long' : wordsOf(loaded))
  }

  async #loaded(pin: Pin, before: readonly string[]): Promise<void> {
    const { target, clock, notice } = this.#ports
    const { residents } = target.residency()
    pin.context = residents.find(({ canonical }) => canonical === pin.canonical)?.contextLength ?? null
    pin.loadedAtMs = clock.monotonicMs()
    // One that does not keep what it was told is told again after the next poll.
    this.#justLoaded.add(pin)
    pin.failures = 0
    this.#loads.loaded++
    if (!before.includes(pin.canonical)) notice('info', 'pin_loaded', { model: pin.name })
    const gone = before.filter((model) => !residents.some(({ canonical }) => canonical === model))
    this.#calm.loaded(gone.filter((model) => !this.has(model)))
    const pushed = this.#ports.pins.find(({ canonical }) => gone.includes(canonical))
    if (pushed !== undefined) await this.#chooseBetween(pin, pushed)
  }

  /** Two pins that do not fit beside each other: the one that stands first in the list stays. */
  async #chooseBetween(loaded: Pin, pushed: Pin): Promise<void> {
    const { pins, target } = this.#ports
    this.#warn(loaded.canonical, pushed.canonical)
    const loser = pins.indexOf(loaded) > pins.indexOf(pushed) ? loaded : pushed
    loser.isGivenUp = true
    // Else the other one's load might push out a third.
    if (loser === loaded) await target.unload(loaded.name)
  }

  #failed(pin: Pin, message: string): void {
    const { clock, notice, target } = this.#ports
    // It is away: its return begins everything anew.
    if (!target.view().reachable) return
    pin.failures++
    this.#loads.failed++
    const retryInMs = doubled(RETRY_FIRST_MS, pin.failures)
    pin.notBeforeMs = clock.monotonicMs() + retryInMs
    notice('warn', 'pin_failed', { model: pin.name, failures: pin.failures, message, retry_in_ms: retryInMs })
  }

  /** A job's load: of a model that a pin pushed out, or of a pin with other options than its own. */
  #wanted(key: string): void {
    const model = modelOfKey(key)
    const { pins, clock } = this.#ports
    const pin = pins.find(({ canonical }) => canonical === model)
    const loadedAtMs = pin?.loadedAtMs ?? Number.NEGATIVE_INFINITY
    if (pin?.key !== key && clock.monotonicMs() - loadedAtMs < SOON_MS) this.#calm.undone()
    const [first] = pins
    if (this.#calm.wanted(model) && first !== undefined) this.#warn(first.canonical, model)
  }

  #warn(model: string, other: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    const { pins, notice } = this.#ports
    const both = `${displayNameOf(model)} and ${displayNameOf(other)} are never loaded together`
    const cure = `set OLLAMA_MAX_LOADED_MODELS=${pins.length + 1} on the target if it has the memory, or pin less`
    notice('warn', 'pins_do_not_fit', { message: `${both}: ${cure}` })
  }
}

/** `names`: none pins nothing. */
export const createPins = (
  ports: Omit<PinsPorts, 'pins'>,
  names: readonly string[],
  contextOf: (canonicalModel: string) => number | null,
): Pins | null => {
  if (names.length === 0) return null
  const made = names.map((name) => createPin(name, null))
  return new PinKeeper({ ...ports, pins: made.map(({ name, canonical }) => createPin(name, contextOf(canonical))) })
}
