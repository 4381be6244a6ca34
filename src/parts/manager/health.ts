/** Whether the target does its work, by the newest evidence: a completion, a job that moves, and only where there is neither, a question; busy is never down. */
import type { Clock } from '../../domain/clock.ts'
import type { PartTarget } from '../../engine/part.ts'
import type { Quiet } from '../../engine/quiet.ts'
import { following } from '../../loop/following.ts'
import type { Inference, Judged } from './inference.ts'

export type Verdict = 'unknown' | 'healthy' | 'slow' | 'failing' | 'down'

export interface HealthReport {
  readonly verdict: Verdict
  /** The evidence, for a person. */
  readonly reason: string
  /** Of the last question that was answered. */
  readonly latencyMs: number | null
  /** Questions asked since start. */
  readonly inferences: number
  /** Failed judgements in a row. */
  readonly failures: number
}

export interface HealthDeps {
  readonly target: Pick<PartTarget, 'working' | 'view'>
  readonly quiet: Quiet
  readonly inference: Pick<Inference, 'judge'>
  /** Processor time of server and runners in ticks of 10 ms; null = it cannot be seen. */
  readonly cpuTicks: () => number | null
  /** A card of this machine computes, for whomever. */
  readonly isGpuBusy: () => boolean
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>
}

const FRESH_MS = 60_000
const EVERY_MS = 30_000
const FAILURES_MAX = 3
// Longer than a load that is usual and shorter than people wait; alone it means nothing.
const SILENT_MS = 120_000
// A process that computes uses a hundred times as much; what answers foreman's own questions uses less.
const STILL_TICKS = 5

/** The judge of one target. */
export class Health {
  readonly #deps: HealthDeps
  #report: Omit<HealthReport, 'failures' | 'inferences'> = {
    verdict: 'unknown',
    reason: 'nothing was seen yet',
    latencyMs: null,
  }
  #failures = 0
  #inferences = 0
  #completedAtMs = Number.NEGATIVE_INFINITY
  /** When a job moved on its way, or it was judged, last. */
  #lookedAtMs: number
  #healthySinceMs: number | null = null
  /** Processor time when a silent job was looked at last. */
  #seenTicks: number | null = null
  #asking: Promise<void> | null = null
  /** Fires when what is being asked is no longer what runs. */
  #over = new AbortController()

  constructor(deps: HealthDeps) {
    this.#deps = deps
    this.#lookedAtMs = deps.clock.monotonicMs()
  }

  get report(): HealthReport {
    return { ...this.#report, failures: this.#failures, inferences: this.#inferences }
  }

  get isDown(): boolean {
    return this.#failures >= FAILURES_MAX
  }

  /** Since when all evidence is good; null while it is not. */
  get healthySinceMs(): number | null {
    return this.#healthySinceMs
  }

  /** A job moved on its way: it is not idle. */
  stirred(): void {
    this.#lookedAtMs = this.#deps.clock.monotonicMs()
  }

  completed(): void {
    this.#completedAtMs = this.#deps.clock.monotonicMs()
    this.stirred()
    this.#good('healthy', 'a completion ended just now')
  }

  /** It was begun anew: what was seen before counts no longer, and the first question comes soon. */
  renewed(): void {
    this.#over.abort()
    this.#over = new AbortController()
    this.#failures = 0
    this.#completedAtMs = Number.NEGATIVE_INFINITY
    this.#seenTicks = null
    this.#report = {
      verdict: 'unknown',
      reason: 'nothing was seen of it since it was begun or taken up',
      latencyMs: null,
    }
    this.#healthySinceMs = this.#deps.clock.monotonicMs()
    this.#lookedAtMs = this.#healthySinceMs
  }

  /** Judges when it is time to. A question goes on beside whoever looks. */
  look(signal: AbortSignal): void {
    const { clock, target } = this.#deps
    const nowMs = clock.monotonicMs()
    if (this.#asking !== null || nowMs - this.#lookedAtMs < EVERY_MS) return
    const working = target.working()
    if (working.length > 0) this.#judgeWork(Math.min(...working.map(silenceOf)))
    else if (nowMs - this.#completedAtMs >= FRESH_MS) this.#begin(signal)
  }

  #begin(signal: AbortSignal): void {
    this.#seenTicks = null
    this.#asking = following([signal, this.#over.signal], (until) => this.#ask(until)).finally(() => {
      this.#asking = null
      this.stirred()
    })
  }

  /** The question under way, if there is one. */
  get asking(): Promise<void> | null {
    return this.#asking
  }

  /** While it may be worked with, only in a quiet moment; jobs go first, and are the better evidence. */
  async #ask(signal: AbortSignal): Promise<void> {
    const { inference, quiet, target, clock } = this.#deps
    const judge = (until: AbortSignal) => {
      this.#inferences++
      return following([signal, until], (either) => inference.judge(either))
    }
    if (!target.view().reachable) {
      const judged = await judge(signal)
      if (!signal.aborted) this.#take(judged)
      return
    }
    const enough = new AbortController()
    const cancel = clock.after(EVERY_MS, () => enough.abort())
    const asked = await following([signal, enough.signal], (until) => quiet.run(judge, until))
    cancel()
    if (asked.kind === 'ran' && !signal.aborted) this.#take(asked.value)
  }

  #take(judged: Judged): void {
    if (judged.kind === 'good') this.#good('healthy', judged.words, judged.latencyMs)
    else if (judged.kind === 'slow') this.#good('slow', judged.words, judged.latencyMs)
    else if (judged.kind === 'failed') this.#failed(judged.words)
  }

  #good(verdict: 'healthy' | 'slow', reason: string, latencyMs = this.#report.latencyMs): void {
    this.#failures = 0
    this.#healthySinceMs = verdict === 'healthy' ? (this.#healthySinceMs ?? this.#deps.clock.monotonicMs()) : null
    this.#report = { verdict, reason, latencyMs }
  }

  #failed(reason: string): void {
    this.#failures++
    this.#healthySinceMs = null
    this.#report = { ...this.#report, verdict: this.isDown ? 'down' : 'failing', reason }
  }

  /** A prompt may be read for ten minutes without a word, but not without a processor. */
  #judgeWork(silentMs: number): void {
    this.#lookedAtMs = this.#deps.clock.monotonicMs()
    const ticks = this.#deps.cpuTicks()
    const before = this.#seenTicks
    this.#seenTicks = ticks
    const usesNoCpu = ticks !== null && before !== null && ticks >= before && ticks - before < STILL_TICKS
    const isStill = usesNoCpu && !this.#deps.isGpuBusy()
    if (silentMs >= SILENT_MS && isStill)
      this.#failed(`a job has been silent for ${Math.round(silentMs / 1_000)} s and no process of Ollama computes`)
    else if (silentMs >= SILENT_MS && ticks !== null) this.#good('healthy', 'a job runs in silence, and is computed')
    // That one has begun shows nothing after a question that failed: its end will.
    else if (this.#failures === 0)
      this.#good('healthy', silentMs < SILENT_MS ? 'a job moves' : 'a job runs in silence, unseen')
  }
}

/** What is being loaded is somebody else's to watch. */
const silenceOf = ({ phase, silentMs }: ReturnType<PartTarget['working']>[number]): number =>
  phase === 'loading' ? 0 : silentMs
