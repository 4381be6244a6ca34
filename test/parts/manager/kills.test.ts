/** A managed Ollama is back after each kill -9, its own or its foreman's: never two of them, no runner left over, no job lost or done twice. */
import { expect, test } from 'bun:test'
import { figure, seedOf } from '../../support/figures.ts'
import { spread } from '../../support/lives.ts'
import { killTheChild, killTheForeman } from '../../support/manager-kills.ts'

const CHILD_KILLS = 10
const FOREMAN_KILLS = 8

test(`${CHILD_KILLS} kill -9 of the child under load`, async () => {
  const { jobs, calls, backMs, repeated } = await killTheChild(CHILD_KILLS, seedOf('child kills'))
  expect(repeated).toEqual([])
  expect(Math.max(...backMs)).toBeLessThan(10_000)
  figure('T9', `${CHILD_KILLS} kill -9 of the managed child, ${jobs} jobs and ${calls} calls, back: ${spread(backMs)}`)
}, 60_000)

test(`${FOREMAN_KILLS} kill -9 of foreman with a managed child`, async () => {
  const { takenUp, started, jobs } = await killTheForeman(FOREMAN_KILLS, seedOf('foreman kills'))
  expect(takenUp).toBeGreaterThan(0)
  figure('T9', `${FOREMAN_KILLS} kill -9 of foreman, ${jobs} jobs: taken up ${takenUp} times, started ${started}`)
}, 60_000)
