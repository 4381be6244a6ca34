/** Puts alerts and heartbeats together; without an address and a file it does nothing. */
import { hostname } from 'node:os'
import type { Part } from '../../engine/part.ts'
import { createHeartbeats } from './heartbeat.ts'
import type { AlertPorts } from './ports.ts'
import { createTeller } from './teller.ts'
import { createWatches } from './watches.ts'

/** The alerts of one foreman. */
export const createAlerts = (ports: AlertPorts): Part => {
  const { alertUrl, heartbeatFile, heartbeatUrl } = ports.settings
  const loops = [
    ...(alertUrl === null ? [] : [createTeller(ports, alertUrl, hostname()), createWatches(ports)]),
    ...createHeartbeats(ports, heartbeatFile, heartbeatUrl),
  ]
  return {
    start() {
      for (const { start } of loops) start()
    },
    async stop() {
      await Promise.all(loops.map(({ stop }) => stop()))
    },
  }
}
