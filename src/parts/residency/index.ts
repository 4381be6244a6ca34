/** The part that keeps the right models loaded: its rows in the table of settings, and how it is made. */
import { optional } from '../../domain/readers.ts'
import type { SettingRows } from '../../domain/setting.ts'
import { definePart } from '../../engine/part.ts'
import { parseContextPolicy } from './context.ts'

const settings = {
  numCtx: {
    variable: 'FOREMAN_NUM_CTX',
    fallback: '',
    meaning:
      "context put on native calls that carry none; 8192! in place of the caller's, drop takes it away; model=value,…,*=value sets it per model",
    allowed: 'a context such as 8192 or 8192!, drop, or pairs such as qwen3:14b=8192,*=drop',
    parse: optional(parseContextPolicy),
  },
} satisfies SettingRows

export const residency = definePart({
  name: 'residency',
  settings,
  create: async (ports) => (await import('./part.ts')).createResidencyPart(ports),
})
