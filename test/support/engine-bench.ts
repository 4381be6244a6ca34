/** The real engine and queue on a virtual clock over a virtual target: a day passes in a second and nothing sleeps. */

import { dirname } from 'node:path'
import type { EngineEvent } from '../../src/domain/job/events.ts'
import { readCall } from '../../src/domain/wire/call.ts'
import { parseKeepAlivePolicy } from '../../src/domain/wire/keep-alive.ts'
import { matchRoute } from '../../src/domain/wire/routes.ts'
import { createAlarms } from '../../src/engine/alarms.ts'
import { createBoard } from '../../src/engine/board.ts'
import { type Bus, createBus } from '../../src/engine/bus.ts'
import type { OpenTarget } from '../../src/engine/elsewhere.ts'
import { createEngine, type Engine, type EngineConfig } from '../../src/engine/engine.ts'
import type { Part, PartPorts } from '../../src/engine/part.ts'
import { portsOf } from '../../src/engine/parts.ts'
import type { StoredQueue } from '../../src/engine/ports.ts'
import { createTransfers } from '../../src/engine/transfers.ts'
import { SyncCaller } from '../../src/http/ollama/answer.ts'
import { createTestStore, newJob, type TestStore } from './store.ts'
import { createVirtualClock, settled, type VirtualClock } from './virtual-clock.ts'
import { createVirtualTarget, type VirtualTarget } from './virtual-target.ts'

type EventOf<K extends EngineEvent['event']> = Extract<EngineEvent, { event: K }>

/** How a sync call ended, or that it has not. */
export interface CallResult {
  status: number | null
  /** Everything that was received. */
  text: string
  isOver: boolean
  /** Virtual milliseconds at the end. */
  endedAtMs: number | null
  headers: Headers
  leave(): void
}

export interface WorkOptions {
  readonly model?: string
  readonly numCtx?: number
  readonly maxAttempts?: number
  readonly keepAlive?: number
  /** Distinguishes jobs for a script. */
  readonly text?: string
}

export interface Bench {
  readonly clock: VirtualClock
  readonly target: VirtualTarget
  readonly engine: Engine
  readonly bus: Bus
  readonly store: TestStore
  readonly events: readonly EngineEvent[]
  eventsOf<K extends EngineEvent['event']>(kind: K): EventOf<K>[]
  /** Submits an async job as the entry route will, and nudges the worker. */
  submit(id: string, work?: WorkOptions): Promise<void>
  /** A sync call through the intake; the result fills itself. */
  call(id: string, work?: WorkOptions & { deadlineMs?: number }): CallResult
  /** Moves the clock on until `holds`, at most `limitMs`; how long it took. */
  until(holds: () => boolean, limitMs?: number, stepMs?: number): Promise<number>
  /** Lets everything that needs no time happen. */
  quiet(): Promise<void>
  /** Stops the engine, letting virtual time pass for the grace. */
  stop(graceMs?: number): Promise<void>
  close(): Promise<void>
}

interface BenchOptions {
  readonly config?: Partial<EngineConfig>
  readonly loadMs?: number
  readonly workMs?: number
  readonly random?: () => number
  /** Listeners may throw. */
  readonly tolerant?: boolean
  /** Makes a part that runs beside the engine. */
  readonly part?: (ports: PartPorts<never>) => Part
  /** What the part opens beside the target; the target itself unless a test says otherwise. */
  readonly openTarget?: OpenTarget
  readonly store?: TestStore
  /** What is in the given store stays there, as after a restart. */
  readonly keep?: boolean
  readonly clock?: VirtualClock
  /** Puts a faulty queue in front of the real one. */
  readonly wrapQueue?: (queue: StoredQueue) => StoredQueue
}

const defaults: EngineConfig = {
  pollIntervalMs: 30_000,
  keepAlive: { models: new Map(), rest: null },
  parallel: 1,
  embed: 'auto',
  maxAttempts: 3,
  maxWaitMs: 15 * 60_000,
  unreachableDeadlineMs: 60_000,
  jobTimeoutMs: 30 * 60_000,
  jobTtlMs: 24 * 3_600_000,
}

/** The policy of FOREMAN_KEEP_ALIVE as text. */
export const keepAlivePolicy = (text: string): EngineConfig['keepAlive'] => {
  const parsed = parseKeepAlivePolicy(text)
  if (parsed.kind === 'bad') throw new Error(parsed.problem)
  return parsed.value
}

const bodyOf = ({ model = 'm-a', numCtx, keepAlive, text = 'hi' }: WorkOptions): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({
      model,
      messages: [{ role: 'user', content: text }],
      ...(numCtx !== undefined && { options: { num_ctx: numCtx } }),
      ...(keepAlive !== undefined && { keep_alive: keepAlive }),
    }),
  )

const callOf = (body: Uint8Array) => {
  const matched = matchRoute('POST', '/api/chat')
  const read = matched.kind === 'route' ? readCall(matched.route, body, 'application/json') : null
  if (read?.kind !== 'call') throw new Error('the body is no call')
  return read.call
}

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await settled()
}

/** Before time moves on, everything that needs none has happened; the same after it. */
const createPatientClock = (): VirtualClock => {
  const clock = createVirtualClock()
  return {
    now: clock.now,
    monotonicMs: clock.monotonicMs,
    after: clock.after,
    get pending() {
      return clock.pending
    },
    async advance(ms) {
      await turns(8)
      await clock.advance(ms)
      await turns(8)
    },
  }
}

/** Reads a response to its end into `result`. */
const drain = async (response: Response, result: CallResult, clock: VirtualClock) => {
  result.status = response.status
  result.headers = response.headers
  const decoder = new TextDecoder()
  for await (const bytes of response.body ?? []) result.text += decoder.decode(bytes, { stream: true })
  result.isOver = true
  result.endedAtMs = clock.monotonicMs()
}

/** Builds and starts an engine; `close` stops it and, unless the store was given, removes its files. */
export const createBench = (options: BenchOptions = {}): Bench => {
  const clock = options.clock ?? createPatientClock()
  const store = options.store ?? createTestStore({ fast: true })
  if (options.store && !options.keep) store.clear()
  const config = { ...defaults, ...options.config }
  const { loadMs = 0, workMs = 0 } = options
  const target = createVirtualTarget({ clock, loadMs, workMs, parallel: config.parallel })
  const events: EngineEvent[] = []
  const bus = createBus({
    failed(_who, error) {
      if (!options.tolerant) throw error
    },
  })
  bus.onAny('test', (event) => void events.push(event))
  const engine = createEngine({
    config,
    queue: options.wrapQueue?.(store.queue) ?? store.queue,
    sweep: store.sweep,
    board: createBoard(),
    newId: () => 'x',
    checkWebhook: async (url) => ({ kind: 'ok', url }),
    find(id) {
      const row = store.row(id)
      return row === null ? null : { ...row, residencyKey: row.residency_key }
    },
    target,
    clock,
    random: options.random ?? (() => 0.5),
    bus,
  })
  engine.recover()
  const part = options.part?.(
    portsOf('test', {
      tables: { statement: (sql) => store.db.query(sql), write: store.ledger.write },
      engine,
      bus,
      alarms: createAlarms(bus.emit, clock),
      waiting: store.queue.counts,
      dataDir: dirname(store.path),
      environment: {},
      transfers: createTransfers(clock),
      post: async () => ({ kind: 'failed', message: 'there is no network here', mayHaveArrived: false }),
      jobTimeoutMs: config.jobTimeoutMs,
      openTarget: options.openTarget ?? (() => ({ ...target, close: () => undefined })),
      target,
      whoOf: () => ({ name: null }),
      settings: {},
      clock,
      random: options.random ?? (() => 0.5),
    }),
  )
  part?.start()
  engine.start()
  let stopping: Promise<unknown> | null = null

  const bench: Bench = {
    clock,
    target,
    engine,
    bus,
    store,
    events,
    eventsOf: (kind) => events.filter((event): event is EventOf<typeof kind> => event.event === kind),
    async submit(id, work = {}) {
      const request = bodyOf(work)
      const { model, residencyKey } = callOf(request)
      const maxAttempts = work.maxAttempts ?? config.maxAttempts
      const submitted = store.queue.submit(newJob(id, { model, residencyKey, request, maxAttempts }), clock.now())
      engine.nudge()
      await submitted
    },
    call(id, work = {}) {
      const leaving = new AbortController()
      const body = bodyOf(work)
      const result: CallResult = {
        status: null,
        text: '',
        isOver: false,
        endedAtMs: null,
        headers: new Headers(),
        leave: () => leaving.abort(),
      }
      const headers = [['Content-Type', 'application/json']] as const
      const base = { jobId: id, path: '/api/chat', headers, signal: leaving.signal, clock }
      const draft = engine.admission.shape({ call: callOf(body), body })
      const caller = new SyncCaller({ ...base, ...draft, patience: engine.patience() })
      void caller.answered.then((response) => drain(response, result, clock))
      void engine.intake.admit(id, caller, work.deadlineMs ?? null).then((admitted) => {
        if (admitted.kind === 'refused') caller.fail(admitted.failure, null, false)
        else if (!engine.state.view.reachable) engine.poller.hurry()
      })
      return result
    },
    async until(holds, limitMs = 3_600_000, stepMs = 100) {
      const began = clock.monotonicMs()
      await bench.quiet()
      while (!holds()) {
        if (clock.monotonicMs() - began > limitMs) throw new Error(`still not so after ${limitMs} virtual ms`)
        await clock.advance(stepMs)
      }
      return clock.monotonicMs() - began
    },
    quiet: () => turns(12),
    async stop(graceMs = 10_000) {
      stopping ??= Promise.all([part?.stop(), engine.stop(graceMs)])
      let isStopped = false
      void stopping.then(() => {
        isStopped = true
      })
      await bench.quiet()
      while (!isStopped) await clock.advance(1_000)
      await stopping
    },
    async close() {
      await bench.stop(0)
      if (!options.store) store.close()
    },
  }
  return bench
}
