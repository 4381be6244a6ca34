/** The server as the one who keeps it sees it: something that can be begun, or not, and that may end; it must never say whether it does its work. */

/** What came of a try to have it run. */
export type Begun =
  | { readonly kind: 'begun'; readonly how: 'started' | 'taken up' | 'commanded' }
  | { readonly kind: 'failed'; readonly words: string }
  /** Somebody else is there, who is not ended. */
  | { readonly kind: 'conflict'; readonly words: string }
  /** It cannot be begun from here, and no further try changes that. */
  | { readonly kind: 'missing'; readonly words: string }

export interface Server {
  /** Has it run for the first time: takes up what was left from before, or starts it. */
  begin(signal: AbortSignal): Promise<Begun>
  /** Ends it where it is ours, and has it run anew. */
  restart(signal: AbortSignal): Promise<Begun>
  /** Ours, and ended; null = it is not ours, nobody knows. */
  hasEnded(): boolean | null
  /** Whether whoever answers is the one that was begun. */
  isAnswering(): boolean
  /** What is to be done now and then while it runs. */
  upkeep(): void
  /** How it ended and the last thing it said, for people; empty when nothing is known. */
  lastWords(): string
  /** Processor time of it and its runners in ticks of 10 ms; null = it cannot be seen. */
  cpuTicks(): number | null
  readonly pid: number | null
  /** How often it must be looked whether it has ended; where its end is told, seldom. */
  readonly lookEveryMs: number
  /** Called as soon as it ends, where that can be known. */
  onEnd(listener: () => void): void
}
