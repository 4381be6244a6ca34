/** What an optional part is given and what it gives: nothing else joins it to foreman, so that deleting it leaves foreman whole. */
import type { ListenAddress } from '../domain/address.ts'
import type { Clock, Random } from '../domain/clock.ts'
import type { LogLevel } from '../domain/log-level.ts'
import type { Reading } from '../domain/reading.ts'
import type { Environment, SettingRows, ValuesOf } from '../domain/setting.ts'
import type { Admission } from './admission.ts'
import type { Alarm } from './alarms.ts'
import type { Asked, AskOptions } from './ask.ts'
import type { Bus } from './bus.ts'
import type { Elsewhere, Place } from './elsewhere.ts'
import type { PollListener } from './poller.ts'
import type { SendTarget } from './ports.ts'
import type { Post } from './post.ts'
import type { Quiet } from './quiet.ts'
import type { ReliefPort } from './relief.ts'
import type { Rescue } from './rescue.ts'
import type { Residency } from './residency.ts'
import type { Working } from './roster.ts'
import type { TargetView } from './state.ts'
import type { Upkeep } from './upkeep.ts'

/** The target as a part may use it. */
export interface PartTarget extends Upkeep {
  /** One small question on a fresh connection, bounded in time and size. */
  ask(path: string, options?: AskOptions): Promise<Asked>
  send: SendTarget['send']
  /** `http://gpu-box:11434`. */
  readonly origin: string
  view(): TargetView
  /** The jobs on it just now. */
  working(): readonly Working[]
  /** A pull or a create is under way through this foreman: whoever ends the target now throws it away. */
  isTransferring(): boolean
  residency(): Pick<Residency, 'loadedKeys' | 'residentKeys' | 'residents'>
  /** Asks again what is loaded, at most once a second. */
  refresh(): Promise<void>
  /** The returned functions end the subscription. */
  onPolled(listener: PollListener): () => void
  onReachability(listener: (reachable: boolean) => void): () => void
  /**
   * It is not fit to work although something may answer: until `null` it counts as away, whatever a poll says. Jobs that run there come back
   * with their attempt, callers wait or are rescued. `words` say why.
   */
  declareDown(words: string | null): void
}

/** A statement on the part's own tables. */
export interface PartStatement<Row> {
  all(...values: (string | number | null | Uint8Array)[]): Row[]
  get(...values: (string | number | null | Uint8Array)[]): Row | null
  run(...values: (string | number | null | Uint8Array)[]): unknown
}

/** The part's own tables (ADR 0011); its SQL stands in its store.ts. */
export interface PartTables {
  /** Prepared once, however often it is asked for. */
  statement<Row>(sql: string): PartStatement<Row>
  /** Runs `op` in the next transaction, perhaps twice. A durable one waits for the disk, a quick one survives all but a power cut. */
  write<T>(durability: 'durable' | 'quick' | 'lazy', op: () => T): Promise<T>
}

/** Somebody the guard let in; without a name where the token has none or none is asked for. */
export interface Asking {
  readonly name: string | null
}

export interface PartPorts<Settings> {
  readonly bus: Pick<Bus, 'on' | 'onAny'>
  /** Tells log and listeners what happened here. */
  notice(level: LogLevel, name: string, fields: Readonly<Record<string, unknown>>): void
  /** Raises an alarm with a sentence for a person, or resolves it with null; saying it twice is harmless. */
  alarm(name: string, words: string | null): void
  /** Tells a person once, of what has no end of its own. */
  happened(name: string, words: string): void
  /** What is raised just now, by all parts. */
  alarms(): readonly Alarm[]
  readonly admission: Admission
  readonly rescue: Rescue
  readonly relief: ReliefPort
  readonly target: PartTarget
  readonly quiet: Quiet
  readonly tables: PartTables
  /** Whether somebody waits for the target to come back: a client, or a job that nobody waits for. */
  readonly isAwaited: () => boolean
  /** How long nothing of the engine has come round: what a watchdog or a heartbeat may rely on. */
  readonly stuckMs: () => number
  /** What waits, and since when the oldest does (milliseconds of the clock). */
  readonly waiting: () => { readonly queued: number; readonly oldestCreatedAt: number | null }
  /** Whatever foreman keeps on disk is in it. */
  readonly dataDir: string
  /** That of this process, for programs that are started from here. */
  readonly environment: Environment
  /** Another server that speaks Ollama's wire; whoever opens it closes it. */
  readonly elsewhere: (place: Place) => Elsewhere
  /** To anybody but the target. */
  readonly post: Post
  /** Who asks in a request that came to one of the part's routes. */
  readonly whoOf: (request: Request) => Asking
  readonly settings: Settings
  readonly clock: Clock
  readonly random: Random
}

/** A part that has been made; nothing happens before `start`. */
export interface Part<Routes = unknown> {
  start(): void
  /** Twice is harmless, and both wait. */
  stop(): Promise<void>
  /** An Elysia plugin, mounted behind the one guard. */
  readonly routes?: Routes
  /** Stands in /healthz under the part's name. */
  status?(): unknown
  metrics?(): readonly Reading[]
  /** Judgements and figures that stand in GET /status under their own names, each with its reason where it has one. */
  facts?(): Readonly<Record<string, Fact>>
}

/** One figure or judgement, and why it is what it is. */
export interface Fact {
  readonly value: unknown
  readonly reason?: string | null
}

/** What settings of a part may have to agree with. */
export interface CoreSettings {
  readonly tokens: readonly { readonly name: string }[]
  readonly ollamaUrl: string
  readonly addr: ListenAddress
}

/** A part as it stands in the list: its rows in the table of settings, and how it is made, which nobody loads before it is needed. */
export interface PartPlan<Rows extends SettingRows = SettingRows> {
  readonly name: string
  readonly settings: Rows
  /** What is wrong with its settings beside the core's, in sentences. */
  problems?(settings: ValuesOf<Rows> & CoreSettings): readonly string[]
  /** The part's tables as steps numbered from 1, a released one never edited; whatever they create begins with `NAME_`. */
  readonly tables?: readonly string[]
  create(ports: PartPorts<ValuesOf<Rows>>): Promise<Part>
}

/** Gives a plan its types. */
export const definePart = <const Rows extends SettingRows>(plan: PartPlan<Rows>): PartPlan<Rows> => plan
