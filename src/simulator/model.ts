/** What a simulated model is, and the defaults that make a believable one of a bare name; it must never hold state. */
import { oneSlotFamilies } from '../domain/wire/families.ts'
import { canonicalOf, displayName, type ModelName, parseModelName } from '../domain/wire/model-name.ts'

export type Capability = 'completion' | 'tools' | 'insert' | 'vision' | 'embedding' | 'thinking' | 'audio'

/** A model as a caller describes it: only the name is needed. */
export interface SimulatedModel {
  readonly name: string
  /** sha256 hex of the manifest; default: of the name. */
  readonly digest?: string
  /** sha256 hex of the weights. Models with the same weights share one runner and evict each other on other options. */
  readonly weights?: string
  /** On disk; default 2 GB. */
  readonly sizeBytes?: number
  /** In memory once loaded; default 1.2 times the size. */
  readonly runnerBytes?: number
  /** How much of that is video memory; default all of it. */
  readonly vramBytes?: number
  /** As /api/tags prints it; some families have one slot whatever OLLAMA_NUM_PARALLEL says. */
  readonly family?: string
  readonly parameterSize?: string
  readonly quantization?: string
  /** Trained context; a larger num_ctx is capped to it. Default 32768. */
  readonly contextLength?: number
  readonly embeddingLength?: number
  readonly capabilities?: readonly Capability[]
  /** Its GGUF chat template is used: tool calls come in the final chunk. */
  readonly nativeTemplate?: boolean
  readonly template?: string
  /** PARAMETER num_ctx of its Modelfile. */
  readonly numCtx?: number
  /** Overrides the simulator's load time. */
  readonly loadMs?: number
  /** Every load fails with these words. */
  readonly loadError?: string
  /** Fixed token counts; default: a quarter of the characters. */
  readonly promptTokens?: number
  readonly inputTokens?: number
  /** The raw vector of every input; default: derived from the text. */
  readonly vector?: readonly number[]
  /** A cloud stub: never loaded, answers at once. */
  readonly remoteModel?: string
  readonly remoteHost?: string
  readonly modifiedAt?: string
  readonly modelInfo?: Readonly<Record<string, unknown>>
  readonly tensors?: readonly { name: string; type: string; shape: readonly number[] }[]
}

/** A model with every default filled in. */
export interface InstalledModel {
  readonly spec: SimulatedModel
  readonly parsed: ModelName
  /** As /api/tags prints it. */
  readonly name: string
  /** `registry.ollama.ai/library/tiny:latest`, as capability errors print it. */
  readonly fullName: string
  readonly digest: string
  readonly weights: string
  readonly sizeBytes: number
  readonly runnerBytes: number
  readonly vramBytes: number
  readonly contextLength: number
  readonly capabilities: readonly Capability[]
  readonly isEmbedder: boolean
  /** OLLAMA_NUM_PARALLEL does not count for it (wire document, 6.7). */
  readonly hasOneSlot: boolean
  readonly template: string
  readonly details: Readonly<Record<string, unknown>>
  readonly modifiedAtMs: number
}

/** sha256 as hex. */
export const sha256 = (text: string | Uint8Array): string => new Bun.CryptoHasher('sha256').update(text).digest('hex')

const TEMPLATE = '{{- range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}assistant:'

/** Fills in the defaults; throws when the name is none. */
export const install = (spec: SimulatedModel, nowMs: number): InstalledModel => {
  const parsed = parseModelName(spec.name)
  if (parsed.kind !== 'name') throw new Error(`"${spec.name}" is not a model name`)
  const { host, namespace, model, tag } = parsed.name
  const capabilities = spec.capabilities ?? ['completion']
  const isEmbedder = capabilities.includes('embedding')
  const family = spec.family ?? (isEmbedder ? 'bert' : 'llama')
  const sizeBytes = spec.sizeBytes ?? 2_019_393_189
  const runnerBytes = spec.runnerBytes ?? Math.round(sizeBytes * 1.2)
  return {
    spec,
    parsed: parsed.name,
    name: displayName(parsed.name),
    fullName: `${host}/${namespace}/${model}:${tag}`,
    digest: spec.digest ?? sha256(`manifest ${canonicalOf(parsed.name)}`),
    weights: spec.weights ?? sha256(`weights ${canonicalOf(parsed.name)}`),
    sizeBytes,
    runnerBytes,
    vramBytes: spec.vramBytes ?? runnerBytes,
    contextLength: spec.contextLength ?? (isEmbedder ? 512 : 32_768),
    capabilities,
    isEmbedder,
    hasOneSlot: !capabilities.includes('completion') || oneSlotFamilies.has(family),
    template: spec.template ?? TEMPLATE,
    details: {
      parent_model: '',
      format: 'gguf',
      family,
      families: [family],
      parameter_size: spec.parameterSize ?? '3.2B',
      quantization_level: spec.quantization ?? 'Q4_K_M',
    },
    modifiedAtMs: spec.modifiedAt ? Date.parse(spec.modifiedAt) : nowMs,
  }
}

/** What the simulator has installed when it is told nothing. */
export const defaultModels: readonly SimulatedModel[] = [
  {
    name: 'llama3.2:3b',
    sizeBytes: 2_019_393_189,
    parameterSize: '3.2B',
    contextLength: 131_072,
    capabilities: ['completion', 'tools'],
  },
  {
    name: 'qwen3:8b',
    sizeBytes: 5_225_388_164,
    family: 'qwen3',
    parameterSize: '8.2B',
    contextLength: 40_960,
    capabilities: ['completion', 'tools', 'thinking'],
  },
  {
    name: 'qwen3:14b',
    sizeBytes: 9_276_198_565,
    family: 'qwen3',
    parameterSize: '14.8B',
    contextLength: 40_960,
    capabilities: ['completion', 'tools', 'thinking'],
  },
  {
    name: 'gemma3:4b',
    sizeBytes: 3_338_801_804,
    family: 'gemma3',
    parameterSize: '4.3B',
    contextLength: 131_072,
    capabilities: ['completion', 'vision'],
  },
  {
    name: 'nomic-embed-text:latest',
    sizeBytes: 274_302_450,
    family: 'nomic-bert',
    parameterSize: '137M',
    quantization: 'F16',
    contextLength: 2048,
    embeddingLength: 768,
    capabilities: ['embedding'],
  },
]
