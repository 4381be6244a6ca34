/** Families of models that Ollama never runs side by side, whatever OLLAMA_NUM_PARALLEL says (wire document, 6.7). */

/** As /api/tags spells them. Embedding models belong here too, by their capability. */
export const oneSlotFamilies: ReadonlySet<string> = new Set([
  'mllama',
  'qwen3vl',
  'qwen3vlmoe',
  'qwen35',
  'qwen35moe',
  'qwen3next',
  'lfm2',
  'lfm2moe',
  'nemotron_h',
  'nemotron_h_moe',
  'nemotron_h_omni',
])
