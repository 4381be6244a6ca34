/** The part that wakes a sleeping target while somebody waits for it: its rows in the table of settings, and how it is made. */
import { definePart } from '../../engine/part.ts'
import { settings } from './settings.ts'

export const wake = definePart({
  name: 'wake',
  settings,
  create: async (ports) => (await import('./part.ts')).createWake(ports),
})
