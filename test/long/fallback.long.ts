/** A thousand histories in which the target is at no fault that a fallback is for: it is never asked. */
import { afterAll, expect, test } from 'bun:test'
import { runFairHistories } from '../support/fair-histories.ts'
import { figure, seedOf } from '../support/figures.ts'
import { createTestStore } from '../support/store.ts'

const HISTORIES = 1_000

const store = createTestStore({ fast: true })
afterAll(store.close)

test(`${HISTORIES} random histories of 4xx, busy, slow, aborted, expired and broken off: 0 fallbacks`, async () => {
  const { calls, asked } = await runFairHistories(store, { count: HISTORIES, seed: seedOf('fallback') })
  figure('FB2', `${HISTORIES} random histories, ${calls} calls: ${asked} fallbacks`)
  expect(asked).toBe(0)
}, 600_000)
