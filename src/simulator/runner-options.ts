/** The options that decide whether a loaded runner fits a request (wire document, 3.6 and 6.8); it must never load anything. */
import type { InstalledModel } from './model.ts'

/** The effective options of a runner. */
export interface RunnerOptions {
  readonly num_ctx: number
  readonly num_batch: number
  readonly num_gpu: number
  readonly main_gpu: number
  readonly use_mmap: boolean | null
  readonly num_thread: number
  readonly draft_num_predict: number
  readonly shift: boolean
}

/** Options of a request, or Ollama's words about a bad one (a 500 there). */
export type OptionsRead =
  | { readonly kind: 'ok'; readonly options: RunnerOptions; readonly numPredict: number }
  | { readonly kind: 'bad'; readonly text: string }

type Bag = Readonly<Record<string, unknown>>

const integers = [
  'num_ctx',
  'num_batch',
  'num_gpu',
  'main_gpu',
  'num_thread',
  'draft_num_predict',
  'num_predict',
] as const
const otherIntegers = ['num_keep', 'seed', 'top_k', 'repeat_last_n']
const floats = ['top_p', 'min_p', 'typical_p', 'temperature', 'repeat_penalty', 'presence_penalty', 'frequency_penalty']

const DEFAULT_CONTEXT = 4096

const problemIn = (bag: Bag): string | null => {
  for (const [name, value] of Object.entries(bag)) {
    if (value === null) continue
    if ((integers as readonly string[]).includes(name) || otherIntegers.includes(name)) {
      if (typeof value !== 'number') return `option "${name}" must be of type integer`
    } else if (floats.includes(name)) {
      if (typeof value !== 'number') return `option "${name}" must be of type float32`
    } else if (name === 'use_mmap') {
      if (typeof value !== 'boolean') return `option "${name}" must be of type boolean`
    } else if (name === 'stop' && !Array.isArray(value)) return `option "${name}" must be of type array`
  }
  return null
}

/** Reads the `options` and `shift` of a request against the model's own defaults. */
export const readOptions = (
  model: InstalledModel,
  options: Bag | undefined,
  shift: boolean | null | undefined,
): OptionsRead => {
  const bag = options ?? {}
  const text = problemIn(bag)
  if (text !== null) return { kind: 'bad', text }
  const number = (name: (typeof integers)[number], otherwise: number): number => {
    const value = bag[name]
    return typeof value === 'number' ? Math.trunc(value) : otherwise
  }
  const wanted = number('num_ctx', model.spec.numCtx ?? DEFAULT_CONTEXT)
  return {
    kind: 'ok',
    numPredict: number('num_predict', -1),
    options: {
      num_ctx: Math.min(wanted, model.contextLength),
      num_batch: number('num_batch', model.isEmbedder ? 2048 : 512),
      num_gpu: number('num_gpu', -1),
      main_gpu: number('main_gpu', 0),
      use_mmap: typeof bag.use_mmap === 'boolean' ? bag.use_mmap : null,
      num_thread: number('num_thread', 0),
      draft_num_predict: number('draft_num_predict', 0),
      shift: shift ?? true,
    },
  }
}

/** Whether a runner loaded with `loaded` must be reloaded to serve `wanted`. */
export const needsReload = (loaded: RunnerOptions, wanted: RunnerOptions): boolean =>
  loaded.num_ctx !== wanted.num_ctx ||
  loaded.num_batch !== wanted.num_batch ||
  // Back to "automatic" keeps what is there.
  (wanted.num_gpu >= 0 && loaded.num_gpu !== wanted.num_gpu) ||
  loaded.main_gpu !== wanted.main_gpu ||
  loaded.use_mmap !== wanted.use_mmap ||
  loaded.num_thread !== wanted.num_thread ||
  loaded.draft_num_predict !== wanted.draft_num_predict ||
  loaded.shift !== wanted.shift
