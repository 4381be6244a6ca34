/** Keeps models on the target; without any to keep it does nothing. */
import type { Part } from '../../engine/part.ts'
import { Keeper } from './keeper.ts'
import type { ModelsPorts } from './ports.ts'

const idle: Part = { start: () => undefined, stop: async () => undefined }

/** The models of one target. */
export const createModels = (ports: ModelsPorts): Part => {
  if (ports.settings.ensureModels.length === 0) return idle
  const keeper = new Keeper(ports)
  return { start: () => keeper.start(), stop: () => keeper.stop(), status: () => keeper.status() }
}
