/** Who is asked what to do about a load that does not come about, and in which words; nothing here acts. */
import type { Outcome } from '../domain/job/outcome.ts'

/** A job whose answer has not begun: what it needs loaded, and how it is given up. */
export interface HungJob {
  readonly job: { readonly residencyKey: string }
  readonly stopper: { stop(why: Outcome): void }
}

/** A job that is silent while its model is not loaded, although the target answers. */
export interface SilentLoad {
  readonly model: string
  readonly silentMs: number
  /** What its load usually takes; null = nobody knows. */
  readonly usualMs: number | null
  /** Some of what was unloaded for it is still there: somebody else works on that, and the target is busy. */
  readonly isBusy: boolean
}

/** What is to be done about it, and when to look again. */
export type Advice =
  | { readonly kind: 'wait' | 'make-room'; readonly againMs: number }
  | { readonly kind: 'give-up'; readonly why: Outcome }

/** Whoever knows what to do about loads that do not come about; asked at every look. */
export interface LoadDoctor {
  /** No load is looked at before it has taken so long. */
  boundMs(usualMs: number | null): number
  advise(load: SilentLoad): Advice
}
