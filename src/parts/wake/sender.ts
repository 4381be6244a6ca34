/** Sends packets by UDP, each from the address it is to come from; a network that does not take one is said, never thrown. */
import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { type Destination, type Way, waysTo } from './networks.ts'

/** Resolves with what went wrong, one sentence a way. */
export type SendPacket = (packet: Uint8Array, to: Destination, times: number) => Promise<readonly string[]>

const sendAlong = (packet: Uint8Array, { from, to }: Way, times: number) =>
  new Promise<string | null>((resolve) => {
    const socket = createSocket(to.host.includes(':') ? 'udp6' : 'udp4')
    let isOver = false
    const end = (error: Error | null) => {
      if (isOver) return
      isOver = true
      socket.close()
      resolve(error === null ? null : `${from ?? 'any address'} to ${to.host}:${to.port}: ${error.message}`)
    }
    socket.on('error', end)
    socket.bind({ port: 0, ...(from !== null && { address: from }) }, () => {
      try {
        if (!to.host.includes(':')) socket.setBroadcast(true)
        let left = times
        const sent = (error: Error | null) => {
          if (error !== null || --left === 0) end(error)
        }
        for (let i = 0; i < times; i++) socket.send(packet, to.port, to.host, sent)
      } catch (error) {
        end(error instanceof Error ? error : new Error(String(error)))
      }
    })
  })

/** By this machine's networks as they are at the moment. */
export const sendPacket: SendPacket = async (packet, to, times) => {
  const interfaces = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
  const said = await Promise.all(waysTo(to, interfaces).map((way) => sendAlong(packet, way, times)))
  return said.filter((words) => words !== null)
}
