/** Tells whoever listens what happened; it must never let a listener's fault or slowness reach the one who tells. */
import type { EngineEvent } from '../domain/job/events.ts'

type EventOf<K extends EngineEvent['event']> = Extract<EngineEvent, { event: K }>

/** What a listener returns is ignored, unless it is a promise: then the next event waits for it. */
export type Handler<E extends EngineEvent = EngineEvent> = (event: E) => unknown

export interface Bus {
  /** Returns when every listener has been called, or has the event in its own line. It never throws. */
  emit(event: EngineEvent): void
  /** `who` names the listener in the log. The returned function ends the subscription. */
  on<K extends EngineEvent['event']>(kind: K, who: string, handler: Handler<EventOf<K>>): () => void
  onAny(who: string, handler: Handler): () => void
  /** Handlers that threw and events dropped since start. */
  readonly failures: number
}

export interface BusDeps {
  /** Hears of a listener's fault, the `count`th of its own. It must not throw. */
  readonly failed: (who: string, error: unknown, count: number) => void
}

// A listener that never comes back must not keep every event that ever happened.
const BACKLOG_MAX = 1_000

interface Subscriber {
  readonly who: string
  readonly handler: Handler
  /** Events that wait for the promise of the one before; null = none is under way. */
  backlog: EngineEvent[] | null
  failures: number
}

/** A bus nobody listens on yet. */
export const createBus = ({ failed }: BusDeps): Bus => {
  const byKind = new Map<string, Set<Subscriber>>()
  const any = new Set<Subscriber>()
  let failures = 0
  let telling: EngineEvent[] | null = null

  const fail = (subscriber: Subscriber, error: unknown) => {
    failures++
    subscriber.failures++
    failed(subscriber.who, error, subscriber.failures)
  }

  /** Its promise when the handler is slow about this event, else null. */
  const call = (subscriber: Subscriber, event: EngineEvent): Promise<unknown> | null => {
    try {
      const told = subscriber.handler(event)
      return told instanceof Promise ? told.catch((error: unknown) => fail(subscriber, error)) : null
    } catch (error) {
      fail(subscriber, error)
      return null
    }
  }

  /** What waited, in its order; what is told meanwhile waits behind it. */
  const drain = async (subscriber: Subscriber, backlog: EngineEvent[], first: Promise<unknown>) => {
    await first
    for (let event = backlog.shift(); event !== undefined; event = backlog.shift()) await call(subscriber, event)
    subscriber.backlog = null
  }

  const deliver = (subscriber: Subscriber, event: EngineEvent) => {
    const { backlog } = subscriber
    if (backlog !== null) {
      if (backlog.length < BACKLOG_MAX) backlog.push(event)
      else fail(subscriber, new Error(`more than ${BACKLOG_MAX} events wait: ${event.event} is dropped`))
      return
    }
    const slow = call(subscriber, event)
    if (slow === null) return
    subscriber.backlog = []
    void drain(subscriber, subscriber.backlog, slow)
  }

  const tell = (event: EngineEvent) => {
    for (const subscriber of byKind.get(event.event) ?? []) deliver(subscriber, event)
    for (const subscriber of any) deliver(subscriber, event)
  }

  const add = (set: Set<Subscriber>, who: string, handler: Handler) => {
    const subscriber: Subscriber = { who, handler, backlog: null, failures: 0 }
    set.add(subscriber)
    return () => void set.delete(subscriber)
  }

  return {
    emit(event) {
      // What a listener tells while it is told comes after: everybody hears everything in one order.
      if (telling !== null) return void telling.push(event)
      telling = [event]
      for (let at = 0; at < telling.length; at++) tell(telling[at] as EngineEvent)
      telling = null
    },
    on(kind, who, handler) {
      const set = byKind.get(kind) ?? new Set()
      byKind.set(kind, set)
      // Only events of this kind are delivered to this set.
      return add(set, who, handler as Handler)
    },
    onAny: (who, handler) => add(any, who, handler),
    get failures() {
      return failures
    },
  }
}
