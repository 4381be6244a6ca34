/** One row of the table of settings: a variable, its default, its words and its reader; parsing, help and documents all follow from it. */
import type { Parsed } from './duration.ts'

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

/** One environment variable. `fallback` is read exactly as if it had been set; empty means that nothing is set. */
export interface Setting<T> {
  readonly variable: string
  readonly fallback: string
  /** Where the default depends on the machine; an empty answer means that there is none. */
  readonly fallbackFrom?: (env: Environment) => string
  /** How the default is written for people where it is not the fallback itself. */
  readonly fallbackShown?: string
  readonly meaning: string
  /** Completes the sentence "expected …". */
  readonly allowed: string
  /** A flag of `foreman serve` that wins over the variable: its name and the word for its value. */
  readonly flag?: readonly [name: string, value: string]
  /** Variables that people set when they mean this one. */
  readonly mistaken?: readonly string[]
  /** The value never appears in a message. */
  readonly secret?: boolean
  readonly parse: (text: string) => Parsed<T>
}

/** Rows by the name of their value; units come last (`maxWaitMs`), and 0 means "none" only where a row says so. */
export type SettingRows = Readonly<Record<string, Setting<unknown>>>

/** What a table of rows gives when all of it was read. */
export type ValuesOf<Rows extends SettingRows> = {
  readonly [Field in keyof Rows]: Rows[Field] extends Setting<infer T> ? T : never
}
