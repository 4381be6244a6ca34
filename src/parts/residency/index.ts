/** The part that keeps the right models loaded: its rows in the table of settings, and how it is made. */
import { durationBetween, optional, readBoolean } from '../../domain/readers.ts'
import type { SettingRows } from '../../domain/setting.ts'
import { definePart } from '../../engine/part.ts'
import { parseContextPolicy } from './context.ts'
import { parsePins } from './pin-list.ts'

const settings = {
  pins: {
    variable: 'FOREMAN_PIN',
    fallback: '',
    meaning: 'models that are loaded whenever nothing else runs or waits, the most important first',
    allowed: 'model names such as llama3.1:8b,nomic-embed-text, separated by commas',
    parse: parsePins,
  },
  numCtx: {
    variable: 'FOREMAN_NUM_CTX',
    fallback: '',
    meaning:
      "context put on native calls that carry none; 8192! in place of the caller's, drop takes it away; model=value,…,*=value sets it per model",
    allowed: 'a context such as 8192 or 8192!, drop, or pairs such as qwen3:14b=8192,*=drop',
    parse: optional(parseContextPolicy),
  },
  idleUnloadMs: {
    variable: 'FOREMAN_IDLE_UNLOAD',
    fallback: '0',
    fallbackShown: '0 (never)',
    meaning: 'after so long without work everything but pins and the warm embedder is unloaded',
    allowed: 'a duration such as 20m (a bare number is seconds) from 1s to 168h, or 0',
    parse: durationBetween(1_000, 604_800_000, 'zero'),
  },
  loadTimeoutMs: {
    variable: 'FOREMAN_LOAD_TIMEOUT',
    fallback: '10m',
    meaning: 'a load that has not come about by then hangs',
    allowed: 'a duration such as 10m (a bare number is seconds) from 10s to 24h',
    parse: durationBetween(10_000, 86_400_000),
  },
  requireGpu: {
    variable: 'FOREMAN_REQUIRE_GPU',
    fallback: 'false',
    meaning: 'a model found on the CPU is a fault of the target: jobs wait until it is on the GPU again',
    allowed: 'true or false',
    parse: readBoolean,
  },
} satisfies SettingRows

export const residency = definePart({
  name: 'residency',
  settings,
  create: async (ports) => (await import('./part.ts')).createResidencyPart(ports),
})
