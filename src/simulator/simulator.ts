/** An Ollama that needs no GPU, and faults on command: the place where its parts meet; it must never be mistaken for a real model. */
import { isCloudName } from '../domain/wire/model-name.ts'
import { keepAliveMs } from './ability.ts'
import { type Control, startControl } from './control.ts'
import { type Counters, createTally } from './counters.ts'
import { createFaultBoard, type Fault, type FaultBoard } from './fault.ts'
import { createGate } from './gate.ts'
import { goStructs } from './go-schema.ts'
import { createLibrary } from './library.ts'
import { createListener, type Listener } from './listener.ts'
import { defaultModels, type SimulatedModel } from './model.ts'
import { createPulse } from './pulse.ts'
import { bags, decodeBody, text } from './request-body.ts'
import { createRouter } from './router.ts'
import { createScheduler } from './scheduler.ts'
import { type Settings, withDefaults } from './settings.ts'
import type { Call, Stage } from './stage.ts'

export type { Counters } from './counters.ts'
export type { Fault } from './fault.ts'
export { type Impostor, type ImpostorName, impostorNames, impostors } from './impostor.ts'
export { defaultModels, type SimulatedModel } from './model.ts'
export { isCurve, type Settings } from './settings.ts'

/** Everything is optional; without delays given, everything happens at once. */
export interface SimulatorOptions extends Partial<Settings> {
  /** Default 127.0.0.1. */
  readonly hostname?: string
  /** Default 0: any free port. */
  readonly port?: number
  readonly models?: readonly SimulatedModel[]
  readonly version?: string
  /** What pull finds: everything but names that begin with `nope` (default), or no network. */
  readonly registry?: 'full' | 'offline'
  /** A second port that takes faults and shows counters; 0 = any free one; default none. */
  readonly controlPort?: number | null
}

/** A delay for each step that feels like a laptop, what such a card gains from requests side by side, and words. */
export const believablePace = {
  loadMs: 1500,
  firstTokenMs: 200,
  tokensPerSecond: 40,
  curve: [1, 1.6, 2.1, 2.5],
  speech: 'words',
} as const

/** A loaded model. `expiresAt` is null when it stays for ever. */
export interface ResidentModel {
  readonly name: string
  readonly contextLength: number
  readonly expiresAt: string | null
  /** Requests that hold it. */
  readonly working: number
}

export interface Simulator {
  readonly url: string
  readonly port: number
  readonly controlUrl: string | null
  counters(): Counters
  /**
   * Commands a fault. Faults queue: each request takes the oldest whose path fits and whose `times` is not used up. `refuse` and
   * `sleep` begin at once and stand beside the queue, `restart` happens at once. null clears the queue, listens again and wakes.
   */
  fault(fault: Fault | null): void
  /** Half-open: connects succeed, nothing is read or answered, open sockets fall silent, all delays stand still. */
  sleep(): void
  /** Turns knobs while it runs. */
  set(change: Partial<Settings>): void
  /** Takes up everything where it stood, departures of clients included. */
  wake(): void
  residents(): readonly ResidentModel[]
  /** Resolves as soon as a change makes `predicate` true. */
  waitFor(predicate: (counters: Counters) => boolean): Promise<void>
  stop(): Promise<void>
}

const isEmpty = (value: unknown) => text(value) === '' && bags(value).length === 0

/** Whether foreman must never have two of these open: not the unload idiom, not a cloud model. */
const isGeneration = (stage: Stage, { exchange, route }: Call): boolean => {
  if (route.class !== 'queued') return false
  const { body } = exchange.request
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const hasStubs = stage.library.hasStubs()
  if (!hasStubs && !bytes.includes('keep_alive') && !bytes.includes('cloud')) return true
  const decoded = decodeBody(body, goStructs['/api/chat'])
  if (decoded.kind !== 'ok') return true
  const { model, messages, prompt, keep_alive } = decoded.bag
  const found = stage.library.find(text(model))
  if (isCloudName(text(model)) || (found.kind === 'found' && found.model.spec.remoteHost !== undefined)) return false
  return !(isEmpty(messages) && isEmpty(prompt) && route.flavour === 'native' && keepAliveMs(keep_alive) === 0)
}

const createStage = (options: SimulatorOptions, settings: Settings): Stage => {
  const pulse = createPulse()
  const tally = createTally()
  return {
    pulse,
    tally,
    library: createLibrary(options.models ?? defaultModels, pulse),
    scheduler: createScheduler({ pulse, tally, settings }),
    settings,
    version: options.version ?? '0.33.0',
    registry: options.registry ?? 'full',
  }
}

const track = (stage: Stage, call: Call) => {
  if (!isGeneration(stage, call)) return
  const { tally } = stage
  if (tally.open() > 0) tally.add('overlaps')
  tally.add('open')
  call.exchange.onSettled = () => tally.add('open', -1)
}

/** Takes faults: those of single requests wait on the board, those of the whole machine begin at once. */
const createCommand = ({ pulse, scheduler }: Stage, board: FaultBoard, listener: Listener) => {
  const standing = new Map<'refuse' | 'sleep', Fault>()
  const wake = () => {
    standing.delete('sleep')
    pulse.wake()
  }
  const clear = () => {
    board.clear()
    standing.clear()
    listener.accept()
    wake()
  }
  const fault = (command: Fault | null) => {
    if (command === null) return clear()
    switch (command.kind) {
      case 'refuse':
        standing.set('refuse', command)
        return listener.refuse()
      case 'sleep':
        standing.set('sleep', command)
        return pulse.sleep()
      case 'restart':
        scheduler.expireAll()
        return listener.drop()
      default:
        return board.add(command)
    }
  }
  return { fault, wake, faults: () => [...standing.values(), ...board.list()] }
}

/** Starts a simulator; rejects when its port is taken. */
export const startSimulator = async (options: SimulatorOptions = {}): Promise<Simulator> => {
  const hostname = options.hostname ?? '127.0.0.1'
  const settings = withDefaults(options)
  const stage = createStage(options, settings)
  const { pulse, tally, scheduler } = stage
  const board = createFaultBoard()
  const listener = createListener({
    hostname,
    port: options.port ?? 0,
    pulse,
    isHashed: (method, path) => method === 'POST' && path.startsWith('/api/blobs/'),
    onRequest: createRouter({ stage, gate: createGate(hostname), board, onCall: (call) => track(stage, call) }),
    onAbort: () => tally.add('aborts'),
    onConnections: (change) => tally.add('connections', change),
  })

  const { fault, faults, wake } = createCommand(stage, board, listener)
  const sleep = () => fault({ kind: 'sleep' })
  const set = (change: Partial<Settings>) => void Object.assign(settings, change)
  const residents = (): ResidentModel[] =>
    scheduler.residents().map(({ model, contextLength, expiresAtMs, working }) => ({
      name: model.name,
      contextLength,
      expiresAt: Number.isFinite(expiresAtMs) ? new Date(expiresAtMs).toISOString() : null,
      working,
    }))

  let control: Control | null = null
  if (options.controlPort !== undefined && options.controlPort !== null) {
    control = startControl({
      hostname,
      port: options.controlPort,
      counters: tally.snapshot,
      faults,
      residents,
      fault,
      sleep,
      wake,
      settings,
      set,
    })
  }

  return {
    url: `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${listener.port}`,
    port: listener.port,
    controlUrl: control?.url ?? null,
    counters: tally.snapshot,
    fault,
    sleep,
    wake,
    set,
    residents,
    waitFor: tally.waitFor,
    async stop() {
      control?.stop()
      listener.stop()
      pulse.stop()
    },
  }
}
