/** One line of the bench's table; what is measured beside what is wanted. */

export interface Row {
  readonly name: string
  readonly measured: string
  /** What foreman promises; empty where the figure is only told. */
  readonly wanted: string
  /** Null where nothing is promised. */
  readonly isKept: boolean | null
}

export const told = (name: string, measured: string): Row => ({ name, measured, wanted: '', isKept: null })

export const promised = (name: string, measured: string, wanted: string, isKept: boolean): Row => ({
  name,
  measured,
  wanted,
  isKept,
})

export const ms = (value: number): string => `${value.toFixed(value < 10 ? 3 : 1)} ms`
export const perSecond = (value: number): string => `${Math.round(value).toLocaleString('en-US')} req/s`
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
export const times = (value: number): string => `${value.toFixed(2)}x`

/** How much of everything is measured. */
export interface Amounts {
  readonly rounds: number
  /** Requests of one run, with one connection and with sixteen. */
  readonly requests: { readonly one: number; readonly sixteen: number }
  readonly streams: number
  readonly tags: number
  readonly starts: number
  readonly waiters: number
  /** Waiting jobs for the claim: the long backlog. */
  readonly backlog: number
  /** Jobs whose ETA is compared. */
  readonly etaJobs: number
  /** Finished jobs to sweep; 0: leave the row out. */
  readonly swept: number
  /** Jobs with and without receivers. */
  readonly hooked: number
  /** Jobs that owe a webhook to a receiver that is down, and how long that is left alone before and while it is measured. */
  readonly owed: number
  readonly settlingMs: number
}

export const fullAmounts: Amounts = {
  rounds: 9,
  requests: { one: 1_500, sixteen: 6_000 },
  streams: 11,
  tags: 300,
  starts: 11,
  waiters: 1_000,
  backlog: 1_000_000,
  etaJobs: 30,
  swept: 1_000_000,
  hooked: 1_500,
  owed: 100_000,
  settlingMs: 60_000,
}

export const quickAmounts: Amounts = {
  rounds: 1,
  requests: { one: 50, sixteen: 160 },
  streams: 1,
  tags: 20,
  starts: 1,
  waiters: 50,
  backlog: 5_000,
  etaJobs: 2,
  swept: 0,
  hooked: 20,
  owed: 1_000,
  settlingMs: 1_000,
}
