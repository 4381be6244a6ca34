/** Wakes the target by magic packets while it is away and somebody waits for it; it must never send one for nobody, nor without end. */
import type { Part } from '../../engine/part.ts'
import { magicPacket } from './magic.ts'
import { createReturns } from './returns.ts'
import { type SendPacket, sendPacket } from './sender.ts'
import type { WakePorts } from './settings.ts'

const idle: Part = { start: () => undefined, stop: async () => undefined }

// Networks lose one now and then.
const PACKETS = 3
const BURST_EVERY_MS = 30_000
// A machine that has not come by then is switched off, or not on this network.
const TRY_FOR_MS = 600_000
// Whoever waits in the queue says so at once; this is for the others.
const LOOK_EVERY_MS = 5_000
// Polls come at least so often while somebody waits.
const ANSWERED_WITHIN_MS = 60_000

/** Whoever manages it says that it is down, but it answers. */
const isUp = ({ target, clock }: WakePorts): boolean => {
  const { down, lastPollAt } = target.view()
  return down !== null && lastPollAt !== null && clock.now() - lastPollAt <= ANSWERED_WITHIN_MS
}

/** Waking for one target; without an address it does nothing. */
export const createWake = (ports: WakePorts, send: SendPacket = sendPacket): Part => {
  const { settings, target, bus, clock, notice, isAwaited } = ports
  const { wakeMac: mac, wakeAddr: to } = settings
  if (mac === null) return idle
  const packet = magicPacket(mac)
  const returns = createReturns(ports)
  const subscriptions: (() => void)[] = []
  const failures = new Set<string>()
  let cancelLook = () => {}
  let sending: Promise<void> = Promise.resolve()
  let lastBurstMs = Number.NEGATIVE_INFINITY
  // From when on it is tried for the one who waits now; null = nobody does.
  let triedSinceMs: number | null = null
  let hasGivenUp = false

  const burst = async () => {
    for (const words of await send(packet, to, PACKETS)) {
      // Each network once: it is the same every 30 s.
      if (failures.has(words)) continue
      failures.add(words)
      notice('warn', 'wake_failed', { message: words })
    }
  }
  const give = (nowMs: number) => {
    if (nowMs - lastBurstMs < BURST_EVERY_MS) return
    lastBurstMs = nowMs
    returns.tried(nowMs)
    notice('info', 'wake_sent', { mac, to: `${to.host}:${to.port}` })
    sending = burst()
  }
  const look = () => {
    cancelLook()
    if (target.view().reachable) return
    cancelLook = clock.after(LOOK_EVERY_MS, look)
    const nowMs = clock.monotonicMs()
    if (!isAwaited() || isUp(ports)) {
      triedSinceMs = null
      return
    }
    triedSinceMs ??= nowMs
    const isOver = nowMs - triedSinceMs >= TRY_FOR_MS
    if (!isOver) give(nowMs)
    else if (!hasGivenUp) notice('warn', 'wake_given_up', { minutes: TRY_FOR_MS / 60_000 })
    hasGivenUp = isOver
  }
  /** Whoever comes now has a try of their own. */
  const came = () => {
    if (target.view().reachable) return
    if (hasGivenUp) triedSinceMs = null
    look()
  }

  return {
    start() {
      subscriptions.push(
        target.onReachability((reachable) => {
          if (reachable) {
            returns.cameBack(clock.monotonicMs())
            triedSinceMs = null
            hasGivenUp = false
          }
          look()
        }),
        bus.on('job_submitted', 'wake', came),
      )
      look()
    },
    async stop() {
      for (const end of subscriptions) end()
      cancelLook()
      await sending
    },
    metrics: returns.metrics,
  }
}
