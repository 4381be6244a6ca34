/** Shares the tries out among receivers, so that those that hang cannot take them all; pure bookkeeping, it must never wait. */

/** The lanes of all receivers that something is under way to. */
export interface Lanes {
  isFull(origin: string): boolean
  /** The origins that can take no further try now. */
  full(): readonly string[]
  enter(origin: string): void
  /** `answered` tells a receiver that took the webhook from one that has yet to show it can. */
  leave(origin: string, answered: boolean): void
  /** Forgets who has nothing under way; to be called when all that is due has been started. */
  prune(): void
}

interface Lane {
  inFlight: number
  width: number
}

/**
 * A receiver starts with one try at a time, earns twice as many with each answer up to `widthMax`, and falls back to one when a try
 * fails. So 100 receivers that hang hold 100 tries and not 100 times `widthMax`.
 */
export const createLanes = (widthMax: number): Lanes => {
  const lanes = new Map<string, Lane>()
  const isFullLane = ({ inFlight, width }: Lane) => inFlight >= width
  return {
    isFull(origin) {
      const lane = lanes.get(origin)
      return lane !== undefined && isFullLane(lane)
    },
    full: () => [...lanes].filter(([, lane]) => isFullLane(lane)).map(([origin]) => origin),
    enter(origin) {
      const lane = lanes.get(origin) ?? { inFlight: 0, width: 1 }
      lane.inFlight++
      lanes.set(origin, lane)
    },
    leave(origin, answered) {
      const lane = lanes.get(origin)
      if (lane === undefined) throw new Error(`nothing is under way to ${origin}`)
      lane.inFlight--
      lane.width = answered ? Math.min(lane.width * 2, widthMax) : 1
    },
    prune() {
      for (const [origin, { inFlight }] of lanes) if (inFlight === 0) lanes.delete(origin)
    },
  }
}
