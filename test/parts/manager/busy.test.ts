/** A busy target is never restarted: prompts that are read for ten minutes, silent loads, a token a minute, a crowd of slow clients. */
import { expect, test } from 'bun:test'
import { busyFor } from '../../support/busy-target.ts'
import { figure, seedOf } from '../../support/figures.ts'

const HOURS = 5

test.each(['own', 'adopt'] as const)(`${HOURS} busy virtual hours, %s: nothing is restarted`, async (manage) => {
  const { jobs, restarts, hours } = await busyFor(manage, HOURS, seedOf(`busy ${manage}`))
  expect(restarts).toBe(0)
  figure('T9', `${hours} busy virtual hours (${manage}), ${jobs} jobs, restarts: ${restarts}`)
})
