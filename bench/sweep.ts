export interface SweepTold {
  readonly jobs: number
  readonly aloneMs: number
  readonly longestMs: number
  readonly tookMs: number
  readonly stepsMs: Readonly<Record<string, number>>
}
