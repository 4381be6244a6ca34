/** 1,000 kill -9 under submitters of jobs and a receiver that fails 30 %; the short form runs with every change. */
import { test } from 'bun:test'
import { figure, seedOf } from '../support/figures.ts'
import { expectKillsLoseNothing, killFigure } from '../support/job-kills.ts'

const KILLS = 1_000

test(`${KILLS} kill -9 lose no acknowledged job and no webhook, do nothing twice and keep the order`, async () => {
  for (const count of await expectKillsLoseNothing(KILLS, seedOf('job-kill')))
    figure('D1', 'kill -9 under submitters and a failing receiver', killFigure(count))
}, 1_800_000)
