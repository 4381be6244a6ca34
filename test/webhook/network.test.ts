/** Names are resolved as the machine says now, not as it said when foreman started. */
import { afterEach, expect, test } from 'bun:test'
import { getServers, Resolver, setServers } from 'node:dns'
import { systemResolve } from '../../src/webhook/network.ts'

const ofTheMachine = () => new Resolver().getServers()

afterEach(() => setServers(ofTheMachine()))

test('name servers that were known before the network came up are forgotten at the next lookup', async () => {
  await systemResolve('localhost')
  setServers(['127.0.0.99'])
  expect(await systemResolve('localhost')).toContain('127.0.0.1')
  expect(getServers()).toEqual(ofTheMachine())
})
