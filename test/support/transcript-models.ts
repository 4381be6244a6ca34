/** The models that the transcripts' Ollama had installed; a test of the simulator must never need to know more than their names. */
import type { SimulatedModel } from '../../src/simulator/simulator.ts'

const TEMPLATE = '{{- range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}assistant:'

const small = {
  runnerBytes: 125_829_120,
  vramBytes: 0,
  sizeBytes: 4096,
  parameterSize: '1.02K',
  quantization: 'F32',
  contextLength: 8192,
  promptTokens: 7,
  inputTokens: 4,
  vector: [0.1, 0.2, 0.3, 0.4],
  template: TEMPLATE,
} as const

/** A sha256 that sorts where the number puts it: victims of equal rank go by the path of their weights. */
const weights = (rank: number) => rank.toString(16).padStart(2, '0').repeat(32)

export const transcriptModels: readonly SimulatedModel[] = [
  {
    ...small,
    name: 'tiny',
    digest: 'c29c88f6f0e1086d856b79268041fd9b6d2af50c93aa8939666633356b659687',
    weights: '86fac465d82e74447a1343e59e7c64a64edc78f8605fbab80fafe3c5ce7f6135',
    modelInfo: {
      'general.architecture': 'llama',
      'general.description': 'fake:{}',
      'general.file_type': 0,
      'general.parameter_count': 544,
      'llama.attention.head_count': 4,
      'llama.attention.head_count_kv': 4,
      'llama.block_count': 2,
      'llama.context_length': 8192,
      'llama.embedding_length': 32,
      'llama.feed_forward_length': 64,
      'tokenizer.ggml.bos_token_id': 1,
      'tokenizer.ggml.eos_token_id': 2,
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.tokens': null,
    },
    tensors: [
      { name: 'token_embd.weight', type: 'F32', shape: [32, 16] },
      { name: 'output_norm.weight', type: 'F32', shape: [32] },
    ],
  },
  {
    ...small,
    name: 'native',
    digest: 'f7dec7ff82382a77767231fbd6600867ac6c28918c5bb23a9471723f03177f5a',
    weights: weights(0xf0),
    capabilities: ['completion', 'tools'],
    nativeTemplate: true,
  },
  {
    ...small,
    name: 'nthink',
    weights: weights(0x01),
    capabilities: ['completion', 'thinking'],
    nativeTemplate: true,
  },
  { ...small, name: 'tinytools', weights: weights(0x02), capabilities: ['completion', 'tools'] },
  {
    ...small,
    name: 'embed',
    digest: '82db2b48b2bbac95d7a21d0c2c18b37c691fa931b58ba5ccc714fc9e8fd7f626',
    weights: weights(0xf1),
    family: 'bert',
    contextLength: 512,
    capabilities: ['embedding'],
  },
  {
    ...small,
    name: 'badload',
    loadError: 'llama-server process has terminated: exit status 1: error loading model: fake load failure',
  },
  {
    ...small,
    name: 'oomload',
    loadError: 'llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory',
  },
  {
    ...small,
    name: 'Mixed-Case:Q4',
    digest: '72c471bcb314bc948ea506f208ae430a668579b1d15c7e24179b96f5f4dd9814',
    weights: weights(0xf2),
  },
]
