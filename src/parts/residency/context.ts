/** FOREMAN_NUM_CTX: the one context a model is declared to run with, read from the setting and put on calls; embeddings have none of it. */
import type { Parsed } from '../../domain/duration.ts'
import { withNumCtx, withoutNumCtx } from '../../domain/wire/call-options.ts'
import { type ModelPairs, parseModelPairs, valueFor } from '../../domain/wire/model-pairs.ts'
import type { Policy } from '../../engine/admission.ts'

/** `put`: on native calls that carry none. `force`: in place of the caller's too. `drop`: nobody's, so that all run at the target's default. */
export type ContextRule = { readonly kind: 'put' | 'force'; readonly numCtx: number } | { readonly kind: 'drop' }
export type ContextPolicy = ModelPairs<ContextRule>

// Below this no model is of use; above it none was ever trained.
const LEAST = 256
const MOST = 16_777_216

const parseRule = (text: string): Parsed<ContextRule> => {
  if (text.toLowerCase() === 'drop') return { kind: 'ok', value: { kind: 'drop' } }
  const [, digits = '', mark] = /^(\d{1,9})(!?)$/.exec(text) ?? []
  const numCtx = Number(digits)
  if (digits === '' || numCtx < LEAST || numCtx > MOST)
    return { kind: 'bad', problem: `"${text}" is not a context such as 8192, 8192! or drop` }
  return { kind: 'ok', value: { kind: mark === '!' ? 'force' : 'put', numCtx } }
}

/** `8192`, `8192!` or `drop` for all models, or pairs such as `qwen3:14b=8192,*=drop`. */
export const parseContextPolicy = (text: string): Parsed<ContextPolicy> =>
  parseModelPairs(text, parseRule, 'qwen3:14b=8192 or *=drop')

/** The context that a load by foreman itself asks for; null = the target's own. */
export const declaredContext = (policy: ContextPolicy | null, canonicalModel: string): number | null => {
  const rule = policy === null ? null : valueFor(policy, canonicalModel)
  return rule === null || rule.kind === 'drop' ? null : rule.numCtx
}

/** What admission makes of a call. Embeddings stay as they are: they may go past the queue, where nothing is put on them. */
export const contextPolicy =
  (policy: ContextPolicy): Policy =>
  (draft) => {
    const { route, canonicalModel, reload } = draft.call
    const rule = route.class === 'bypass' ? null : valueFor(policy, canonicalModel)
    if (rule === null) return draft
    if (rule.kind === 'drop') return withoutNumCtx(draft)
    const isSaid = reload.options['num_ctx'] !== undefined
    return isSaid && rule.kind === 'put' ? draft : withNumCtx(draft, rule.numCtx)
  }
