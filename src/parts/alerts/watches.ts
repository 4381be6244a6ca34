/** What no other part looks after: how long the oldest job waits, webhooks that were given up, and room on the disk. */
import { statfsSync } from 'node:fs'
import { humanSpan } from '../../domain/duration.ts'
import { createLoop } from '../../loop/loop.ts'
import type { AlertPorts } from './ports.ts'

const LOOK_EVERY_MS = 60_000
const GIVEN_UP_FOR_MS = 3_600_000
// Raised under the first, resolved over the second: a disk at the edge is one trouble.
const DISK_LOW = { share: 0.05, bytes: 256 * 1024 ** 2 }
const DISK_FINE = { share: 0.07, bytes: 512 * 1024 ** 2 }

interface Room {
  readonly free: number
  readonly total: number
}

const roomAt = (path: string): Room => {
  const { bavail, blocks, bsize } = statfsSync(path)
  return { free: bavail * bsize, total: blocks * bsize }
}

const isUnder = ({ free, total }: Room, { share, bytes }: typeof DISK_LOW) => free < bytes || free < total * share

/** A loop that looks once a minute. */
export const createWatches = ({ alarm, bus, clock, dataDir, settings, waiting, notice }: AlertPorts) => {
  const { alertQueueAgeMs } = settings
  let givenUp = 0
  let givenUpAt = Number.NEGATIVE_INFINITY
  let isDiskLow = false
  let unsubscribe = () => {}

  const lookAtQueue = () => {
    const { oldestCreatedAt, queued } = waiting()
    const ageMs = oldestCreatedAt === null ? 0 : clock.now() - oldestCreatedAt
    const isOld = alertQueueAgeMs > 0 && ageMs > alertQueueAgeMs
    alarm('queue_age', isOld ? `the oldest of ${queued} waiting jobs has waited for ${humanSpan(ageMs)}` : null)
  }

  const lookAtWebhooks = () => {
    if (clock.now() - givenUpAt > GIVEN_UP_FOR_MS) givenUp = 0
    const what = givenUp === 1 ? 'a webhook was' : `${givenUp} webhooks were`
    alarm('webhooks_given_up', givenUp === 0 ? null : `${what} given up; foreman show JOB tells which and why`)
  }

  const lookAtDisk = () => {
    const room = roomAt(dataDir)
    isDiskLow = isUnder(room, isDiskLow ? DISK_FINE : DISK_LOW)
    const megabytes = Math.round(room.free / 1024 ** 2)
    alarm('disk', isDiskLow ? `${megabytes} MiB are free on the disk of ${dataDir}: a full one stops new jobs` : null)
  }

  const body = async () => {
    lookAtQueue()
    lookAtWebhooks()
    lookAtDisk()
    return LOOK_EVERY_MS
  }
  const failed = (error: unknown) => notice('error', 'watch_failed', { message: String(error) })
  const loop = createLoop({ name: 'alert watches', clock, body, failed, pauseMs: LOOK_EVERY_MS })
  return {
    start() {
      unsubscribe = bus.on('webhook_given_up', 'alerts', () => {
        givenUp++
        givenUpAt = clock.now()
        lookAtWebhooks()
      })
      loop.start()
    },
    async stop() {
      unsubscribe()
      await loop.stop()
    },
  }
}
