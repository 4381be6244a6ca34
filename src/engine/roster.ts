/** Who has which job between its claim and its end: the one place that ends a job, wherever it is just now; it must never miss one. */
import type { Clock } from '../domain/clock.ts'
import type { Failure } from '../domain/job/failure.ts'
import { type ActiveJob, isFinal, type JobState, LANES_FROM } from '../domain/job/job.ts'
import type { Outcome } from '../domain/job/outcome.ts'
import { createStopper, type Stopper } from './stopper.ts'

/** A job on a slot. */
export interface Seat {
  readonly job: ActiveJob
  readonly stopper: Stopper
  phase: 'loading' | 'working'
  /** The target has given a sign of life since the job took its slot. */
  isHeard: boolean
  /** Monotonic milliseconds: when its present phase began, or its answer last moved. */
  movedAtMs: number
  /** The steps that were taken for want of memory, as the caller is told. */
  relief: readonly string[]
  /** Its attempt is over: orders for the job no longer go to the attempt, but the slot is still taken. */
  isOver: boolean
}

/** A job on the target. `silentMs`: since its phase began, or its answer last moved. */
export interface Working {
  readonly model: string
  readonly phase: Seat['phase']
  readonly silentMs: number
}

/** What became of an order to end a job. */
export type Ended =
  /** It waited, and does no longer. */
  | 'withdrawn'
  /** Its attempt has been told, or will be at its next step; its settle says how it ends. */
  | 'told'
  /** It is over, or was never there. */
  | 'over'

/** An order to end a job: what its attempt is told, and how its row ends if it still waits. */
export interface Order {
  readonly why: Outcome
  readonly reason: 'cancelled' | Failure
  /** Async jobs: whoever was told of the end may rely on it. */
  readonly durable?: boolean
}

export interface RosterDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly withdraw: (jobId: string, reason: 'cancelled' | Failure, durability?: 'durable') => Promise<boolean>
  /** The stored state of a job, or null when there is none. */
  readonly stateOf: (jobId: string) => JobState | null
}

export interface Roster {
  /** Those on slots: whatever the target runs. */
  readonly seats: readonly Seat[]
  working(): readonly Working[]
  /** Ends every attempt for this reason. */
  stopAll(why: Outcome): void
  /** Those in lanes: whatever something else runs. */
  readonly seatsAside: readonly Seat[]
  /** The lowest slot without a job, or null. */
  freeSlot(slots: number): number | null
  /** Takes a claimed job in; an order that came meanwhile has stopped it already. */
  seat(job: ActiveJob): Seat
  /** Its attempt is over, and how it ends is about to be decided. */
  leave(seat: Seat): void
  /** Its settle is ready to be written: the slot may be claimed again behind it. */
  free(seat: Seat): void
  of(jobId: string): Seat | undefined
  /** Ends the job; rejects when the database refuses. */
  end(jobId: string, order: Order): Promise<Ended>
  /** Carries out an order that came while the job was on its way back into the queue; null when there is none. */
  endIfOrdered(jobId: string): Promise<{ readonly order: Order; readonly ended: Ended } | null>
  /** The job is over: orders for it are void. */
  over(jobId: string): void
}

const workingOf = ({ job, phase, movedAtMs }: Seat, nowMs: number): Working => ({
  model: job.model,
  phase,
  silentMs: nowMs - movedAtMs,
})
const isAside = ({ job }: Seat): boolean => job.slot >= LANES_FROM

/** Who sits where. */
const createSeats = (clock: Pick<Clock, 'monotonicMs'>) => {
  const seats = new Map<string, Seat>()
  let inLanes = 0
  /** Asked for several times between two changes. */
  let onSlots: readonly Seat[] | null = null
  return {
    onSlots(): readonly Seat[] {
      onSlots ??= [...seats.values()].filter((seat) => inLanes === 0 || !isAside(seat))
      return onSlots
    },
    aside: () => [...seats.values()].filter(isAside),
    freeSlot(slots: number): number | null {
      if (seats.size === inLanes) return 0
      if (seats.size - inLanes >= slots) return null
      const taken = new Set([...seats.values()].map(({ job }) => job.slot))
      for (let slot = 0; slot < slots; slot++) if (!taken.has(slot)) return slot
      return null
    },
    take(job: ActiveJob): Seat {
      const fresh = { isHeard: false, movedAtMs: clock.monotonicMs(), relief: [], isOver: false }
      const seat: Seat = { job, stopper: createStopper(), phase: job.state, ...fresh }
      seats.set(job.id, seat)
      onSlots = null
      if (isAside(seat)) inLanes++
      return seat
    },
    free(seat: Seat): void {
      if (seats.delete(seat.job.id) && isAside(seat)) inLanes--
      onSlots = null
    },
    of: (jobId: string): Seat | undefined => seats.get(jobId),
  }
}

/** A roster of nobody. */
export const createRoster = ({ clock, withdraw, stateOf }: RosterDeps): Roster => {
  const seats = createSeats(clock)
  // Orders for jobs that are between two places: claimed but not seated, or settled but not back in the queue.
  const orders = new Map<string, Order>()

  const stop = (jobId: string, { why }: Order): boolean => {
    const seat = seats.of(jobId)
    if (seat?.isOver === false) seat.stopper.stop(why)
    return seat?.isOver === false
  }

  /** One write after the other: a withdraw that finds nothing waiting comes after the claim or before the way back. */
  const carryOut = async (jobId: string, order: Order): Promise<Ended> => {
    for (;;) {
      if (await withdraw(jobId, order.reason, order.durable ? 'durable' : undefined)) {
        orders.delete(jobId)
        return 'withdrawn'
      }
      if (stop(jobId, order)) {
        orders.delete(jobId)
        return 'told'
      }
      const state = stateOf(jobId)
      if (state === null || isFinal(state)) {
        orders.delete(jobId)
        return 'over'
      }
      // Whoever seats it, or has just put it back, finds the order.
      if (state !== 'queued') return 'told'
    }
  }

  return {
    get seats() {
      return seats.onSlots()
    },
    get seatsAside() {
      return seats.aside()
    },
    working: () => seats.onSlots().map((seat) => workingOf(seat, clock.monotonicMs())),
    stopAll(why) {
      for (const { stopper } of seats.onSlots()) stopper.stop(why)
    },
    freeSlot: seats.freeSlot,
    seat(job) {
      const seat = seats.take(job)
      const order = orders.get(job.id)
      if (order !== undefined) {
        orders.delete(job.id)
        seat.stopper.stop(order.why)
      }
      return seat
    },
    leave(seat) {
      seat.isOver = true
    },
    free: seats.free,
    of: seats.of,
    async end(jobId, order) {
      if (stop(jobId, order)) return 'told'
      orders.set(jobId, order)
      try {
        return await carryOut(jobId, order)
      } catch (error) {
        orders.delete(jobId)
        throw error
      }
    },
    async endIfOrdered(jobId) {
      const order = orders.get(jobId)
      return order === undefined ? null : { order, ended: await carryOut(jobId, order) }
    },
    over: (jobId) => void orders.delete(jobId),
  }
}
