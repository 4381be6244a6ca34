/** 500 virtual hours of slow loads, prefills and tokens: nothing is cured. */
import { test } from 'bun:test'
import { figure, seedOf } from '../support/figures.ts'
import { slowHours } from '../support/slow-hours.ts'

test('prefills of 10 min, loads of 9 min and a token a minute: nothing is cured in 500 virtual hours', async () => {
  const calls = await slowHours(500, seedOf('slow'))
  figure('K3', `${calls} calls in 500 virtual hours: loads of 9 min, prefills of 10 min, a token a minute`, '0 cures')
}, 900_000)
