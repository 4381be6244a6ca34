/** One line of the bench's table, and the sections that measure them. */

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
export const count = (value: number): string => Math.round(value).toLocaleString('en-US')
export const perSecond = (value: number): string => `${count(value)}/s`
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
export const times = (value: number): string => `${value.toFixed(2)}x`

/** How much of everything is measured. */
export interface Amounts {
  readonly rounds: number
  /** Of load, for one side in one round. */
  readonly seconds: number
  readonly streams: number
  readonly tags: number
  readonly starts: number
  readonly waiters: number
  /** Rows of the long table, and waiting jobs of the long backlog. */
  readonly many: number
  /** Jobs whose ETA is compared. */
  readonly etaJobs: number
  /** Jobs with and without receivers. */
  readonly hooked: number
  /** Jobs that owe a webhook to a receiver that is down. */
  readonly owed: number
  /** How long a foreman is left alone before it is looked at, and for how long then. */
  readonly settlingMs: number
  readonly restingMs: number
  /** The longest that traffic and a sweep are watched. */
  readonly trafficMs: number
  readonly sweepMs: number
}

export const fullAmounts: Amounts = {
  rounds: 7,
  seconds: 2,
  streams: 7,
  tags: 300,
  starts: 11,
  waiters: 1_000,
  many: 1_000_000,
  etaJobs: 20,
  hooked: 700,
  owed: 100_000,
  settlingMs: 60_000,
  restingMs: 30_000,
  trafficMs: 30_000,
  sweepMs: 90_000,
}

export const quickAmounts: Amounts = {
  rounds: 1,
  seconds: 0.2,
  streams: 1,
  tags: 20,
  starts: 1,
  waiters: 50,
  many: 5_000,
  etaJobs: 2,
  hooked: 20,
  owed: 1_000,
  settlingMs: 500,
  restingMs: 500,
  trafficMs: 1_000,
  sweepMs: 1_000,
}

/** A row or some that belong together; each starts and ends what it needs. */
export interface Section {
  readonly name: string
  readonly rows: (amounts: Amounts) => Promise<Row[]>
}
