/** The manager's figures in full: 200 kills of the child, 200 of foreman, 500 busy virtual hours; short forms run with every change. */
import { expect, test } from 'bun:test'
import { busyFor } from '../support/busy-target.ts'
import { figure, seedOf } from '../support/figures.ts'
import { spread } from '../support/lives.ts'
import { killTheChild, killTheForeman } from '../support/manager-kills.ts'

const KILLS = 200
const HOURS = 250

test(`${KILLS} kill -9 of the managed child under load`, async () => {
  const { jobs, calls, backMs, repeated } = await killTheChild(KILLS, seedOf('child kills'))
  figure(
    'T9',
    `${KILLS} kill -9 of the managed child, ${jobs} jobs and ${calls} calls`,
    `back: ${spread(backMs)}; tries repeated: ${repeated.length}`,
  )
}, 1_800_000)

test(`${KILLS} kill -9 of foreman with a managed child`, async () => {
  const { takenUp, started, jobs } = await killTheForeman(KILLS, seedOf('foreman kills'))
  figure('T9', `${KILLS} kill -9 of foreman, ${jobs} jobs`, `taken up ${takenUp} times, started ${started}`)
}, 1_800_000)

test.each(['own', 'adopt'] as const)(
  `${HOURS} busy virtual hours, %s: nothing is restarted`,
  async (manage) => {
    const { jobs, restarts } = await busyFor(manage, HOURS, seedOf(`busy ${manage}`))
    expect(restarts).toBe(0)
    figure('T9', `${HOURS} busy virtual hours (${manage}), ${jobs} jobs`, `${restarts} restarts`)
  },
  1_800_000,
)
