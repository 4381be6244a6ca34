/** Alerts: one message for each change, an end for each beginning, a reminder, and a bound an hour, whatever comes in. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { type Alert, AlertDesk, CLEAR_MS, HOUR_MAX, REMIND_MS } from '../../../src/domain/alert/desk.ts'

const HOUR_MS = 3_600_000
const down = { part: 'manager', name: 'down', words: 'it hangs' }

/** Tells what is due as a receiver that takes everything would hear it. */
const hear = (desk: AlertDesk, now: number): Alert[] => {
  const heard: Alert[] = []
  for (;;) {
    const next = desk.next(now)
    if (next.kind === 'wait') return heard
    desk.sent(next.alert, now)
    desk.delivered(next.alert, now)
    heard.push(next.alert)
  }
}

test('it is told at once, and its end when it has stayed away for a minute', () => {
  const desk = new AlertDesk([], 0)
  desk.raised(down, 0)
  expect(hear(desk, 0).map(({ state }) => state)).toEqual(['fired'])
  desk.resolved(down, 10_000)
  expect(hear(desk, 10_000)).toEqual([])
  expect(desk.next(10_000)).toEqual({ kind: 'wait', until: 10_000 + CLEAR_MS })
  expect(hear(desk, 10_000 + CLEAR_MS)).toEqual([{ ...down, state: 'resolved', since: 0 }])
  expect(desk.next(99 * HOUR_MS)).toEqual({ kind: 'wait', until: null })
})

test('what comes back within the minute is the same trouble, and nothing is said', () => {
  const desk = new AlertDesk([], 0)
  desk.raised(down, 0)
  hear(desk, 0)
  for (let now = 1_000; now < HOUR_MS; now += 30_000) {
    desk.resolved(down, now)
    desk.raised(down, now + 10_000)
    expect(hear(desk, now + 10_000)).toEqual([])
  }
})

test('what goes away while its beginning is on its way is ended, and what comes back while its end is, begins anew', () => {
  const desk = new AlertDesk([], 0)
  desk.raised(down, 0)
  const first = desk.next(0)
  if (first.kind !== 'alert') throw new Error('nothing is due')
  desk.sent(first.alert, 0)
  desk.resolved(down, 1)
  desk.delivered(first.alert, 2)
  const end = desk.next(1 + CLEAR_MS)
  if (end.kind !== 'alert') throw new Error('nothing is due')
  expect(end.alert.state).toBe('resolved')
  desk.raised(down, 3 + CLEAR_MS)
  desk.delivered(end.alert, 4 + CLEAR_MS)
  expect(hear(desk, 5 + CLEAR_MS).map(({ state }) => state)).toEqual(['fired'])
})

test('a beginning that may have arrived is told again while it lasts, and its end is owed', () => {
  const desk = new AlertDesk([], 0)
  desk.raised(down, 0)
  const first = desk.next(0)
  if (first.kind !== 'alert') throw new Error('nothing is due')
  desk.sent(first.alert, 0)
  expect(desk.next(10_000)).toMatchObject({ kind: 'alert', alert: { state: 'fired' } })
  desk.resolved(down, 10_000)
  expect(hear(desk, 10_000 + CLEAR_MS).map(({ state }) => state)).toEqual(['resolved'])
})

test('what was over before it could be told is not told', () => {
  const desk = new AlertDesk([], 0)
  desk.raised(down, 0)
  desk.resolved(down, 1)
  expect(hear(desk, 10 * HOUR_MS)).toEqual([])
})

test('it is told again every six hours while it lasts', () => {
  const desk = new AlertDesk([], 0)
  desk.raised(down, 0)
  hear(desk, 0)
  const heard = []
  for (let now = 0; now <= 24 * HOUR_MS; now += 60_000) heard.push(...hear(desk, now))
  expect(heard.map(({ state }) => state)).toEqual(Array(24 / (REMIND_MS / HOUR_MS)).fill('reminder'))
})

test('what was told before a restart is ended after it, unless it is found again', () => {
  const told = [
    { ...down, since: 5, toldAt: 10 },
    { part: 'alerts', name: 'disk', words: 'full', since: 6, toldAt: 11 },
  ]
  const desk = new AlertDesk(told, 1_000_000)
  desk.raised(down, 1_010_000)
  const heard = []
  for (let now = 1_010_000; now < 2_000_000; now += 10_000) heard.push(...hear(desk, now))
  expect(heard).toEqual([{ part: 'alerts', name: 'disk', words: 'full', since: 6, state: 'resolved' }])
})

test('1,000 flaps of several alarms and a receiver that fails: within the bound, one end for each beginning', () => {
  const flap = fc.record({
    name: fc.constantFrom('down', 'memory', 'gpu'),
    gapMs: fc.integer({ min: 0, max: 200_000 }),
  })
  fc.assert(
    fc.property(fc.array(flap, { minLength: 1_000, maxLength: 1_000 }), fc.integer(), (flaps, luck) => {
      const desk = new AlertDesk([], 0)
      const on = new Set<string>()
      const heard: { alert: Alert; at: number }[] = []
      const tries: number[] = []
      let now = 0
      let chance = luck >>> 0
      const step = () => {
        for (let next = desk.next(now); next.kind === 'alert'; next = desk.next(now)) {
          chance = (chance * 1_664_525 + 1_013_904_223) >>> 0
          desk.sent(next.alert, now)
          tries.push(now)
          if (chance % 4 === 0) return desk.refused(next.alert)
          desk.delivered(next.alert, now)
          heard.push({ alert: next.alert, at: now })
        }
      }
      for (const { name, gapMs } of flaps) {
        now += gapMs
        const subject = { part: 'p', name, words: 'w' }
        if (on.delete(name)) desk.resolved(subject, now)
        else {
          on.add(name)
          desk.raised(subject, now)
        }
        step()
      }
      for (const name of on) desk.resolved({ part: 'p', name }, now)
      for (let i = 0; i < 5_000; i++) {
        now += 60_000
        step()
      }
      for (let i = HOUR_MAX; i < tries.length; i++)
        expect((tries[i] ?? 0) - (tries[i - HOUR_MAX] ?? 0)).toBeGreaterThanOrEqual(HOUR_MS)
      for (const name of ['down', 'memory', 'gpu']) {
        const states = heard
          .filter(({ alert }) => alert.name === name && alert.state !== 'reminder')
          .map(({ alert }) => alert.state)
        expect(states).toEqual(states.map((_, i) => (i % 2 === 0 ? 'fired' : 'resolved')))
        expect(states.length % 2).toBe(0)
      }
      expect(desk.told()).toEqual([])
    }),
    { numRuns: 20 },
  )
})
