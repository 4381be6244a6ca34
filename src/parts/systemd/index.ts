/** The part that speaks with systemd where it started foreman: it has no settings, systemd's own variables say what is wanted. */
import { definePart } from '../../engine/part.ts'

export const systemd = definePart({
  name: 'systemd',
  settings: {},
  create: async (ports) => (await import('./part.ts')).createSystemd(ports),
})
