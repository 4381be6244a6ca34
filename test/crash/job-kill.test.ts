/** kill -9 of the compiled executable under submitters of jobs and a receiver that fails 30 %: a 202 and its webhooks survive it. */
import { test } from 'bun:test'
import { figure, seedOf } from '../support/figures.ts'
import { expectKillsLoseNothing, killFigure } from '../support/job-kills.ts'

const KILLS = Number(process.env['FOREMAN_TEST_JOB_KILLS'] ?? 100)

test(`${KILLS} kill -9 lose no acknowledged job and no webhook, do nothing twice and keep the order`, async () => {
  for (const count of await expectKillsLoseNothing(KILLS, seedOf('job-kill'))) figure('D1', killFigure(count))
}, 300_000)
