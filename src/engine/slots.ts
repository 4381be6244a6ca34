/** How many jobs of one residency key may run side by side: what was configured, unless Ollama itself gives the model one slot. */
import type { Inventory } from '../domain/wire/inventory.ts'
import { modelOfKey } from '../domain/wire/residency.ts'

// Wire document, 6.7: these run one request at a time whatever OLLAMA_NUM_PARALLEL says.
const singleFamilies =
  /^(mllama|qwen3vl|qwen3vlmoe|qwen35|qwen35moe|qwen3next|lfm2|lfm2moe|nemotron_h.*|bert|nomic-bert.*|.*embed.*)$/

/** At least 1. `parallel` is FOREMAN_PARALLEL. */
export const slotsOf = (residencyKey: string, parallel: number, inventory: Inventory): number => {
  if (parallel <= 1) return 1
  const installed = inventory.get(modelOfKey(residencyKey))
  if (installed === undefined) return parallel
  const isEmbedder = installed.capabilities.includes('embedding') && !installed.capabilities.includes('completion')
  return isEmbedder || installed.families.some((family) => singleFamilies.test(family)) ? 1 : parallel
}
