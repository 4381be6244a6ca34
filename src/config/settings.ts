/** The one table of settings that parsing, `serve --help` and the documents' test share: the core's rows and each part's. */
import type { Setting, ValuesOf } from '../domain/setting.ts'
import * as parts from '../parts/list.ts'
import { coreSettings } from './core-settings.ts'

type AllOf<One> = (One extends unknown ? (one: One) => void : never) extends (all: infer All) => void ? All : never
type Rows = typeof coreSettings & AllOf<(typeof parts)[keyof typeof parts]['settings']>

/** Everything a foreman can be told, checked. */
export type Config = ValuesOf<Rows>

export const settings: { readonly [Field in keyof Config]: Setting<Config[Field]> } = Object.assign(
  {},
  coreSettings,
  ...Object.values(parts).map((part) => part.settings),
)

interface Judging {
  problems?(config: Config): readonly string[]
}

/** What the parts find wrong with their settings beside the core's. */
export const partProblems = (config: Config): string[] =>
  Object.values<Judging>(parts as never).flatMap((part) => part.problems?.(config) ?? [])
