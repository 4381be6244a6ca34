/** How many jobs of one residency key may run side by side: what was configured, unless Ollama itself gives the model one slot. */
import { oneSlotFamilies } from '../domain/wire/families.ts'
import type { Inventory } from '../domain/wire/inventory.ts'
import { modelOfKey } from '../domain/wire/residency.ts'

/** At least 1. `parallel` is FOREMAN_PARALLEL. */
export const slotsOf = (residencyKey: string, parallel: number, inventory: Inventory): number => {
  if (parallel <= 1) return 1
  const installed = inventory.get(modelOfKey(residencyKey))
  if (installed === undefined) return parallel
  const isEmbedder = installed.capabilities.includes('embedding') && !installed.capabilities.includes('completion')
  return isEmbedder || installed.families.some((family) => oneSlotFamilies.has(family)) ? 1 : parallel
}
