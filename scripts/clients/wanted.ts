/** What is tried with every client, and what a client has no words for; a case that is neither tried nor excused is a failure. */
import type { Told } from './judge.ts'

/** Cases that a client has once. */
export const calls = [
  'chat',
  'tools',
  'structured',
  'thinking',
  'images',
  'embeddings',
  'list',
  'show',
  'ps',
  'create',
  'copy',
  'delete',
  'whole wait-in-queue',
  'whole wait-impatient',
  'whole target-away',
  'whole target-away-late',
] as const

/** What may happen in the middle of a stream. */
export const faults = [
  'fails-reset',
  'fails-truncate',
  'fails-malformed-chunk',
  'fails-error-mid-stream',
  'fails-out-of-memory',
  'fails-restart',
] as const

/** Cases that a client has for each path that it streams. */
export const streamCases = [
  'stream',
  'unknown-model',
  'abort-midway',
  'abort-queued',
  'wait-in-queue',
  'wait-impatient',
  'target-away',
  'target-away-late',
  ...faults,
] as const

/** Every path that streams a generation; some client asks it of each. */
export const streamPaths = [
  '/api/chat',
  '/api/generate',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/messages',
] as const

// Whoever speaks to a model only keeps house for none.
const keepsNoHouse = ['list', 'show', 'ps', 'create', 'copy', 'delete']
// OpenAI's and Anthropic's APIs list and show; Ollama has no route of theirs that does more.
const onlyLooks = ['ps', 'create', 'copy', 'delete']

const excused: Readonly<Record<string, readonly string[]>> = {
  'openai (npm)': onlyLooks,
  'openai (PyPI)': onlyLooks,
  // Ollama reads no schema on /v1/messages, and Anthropic has no embeddings.
  '@anthropic-ai/sdk (npm)': ['structured', 'embeddings', ...onlyLooks],
  'anthropic (PyPI)': ['structured', 'embeddings', ...onlyLooks],
  '@langchain/ollama (npm)': keepsNoHouse,
  'ai with ai-sdk-ollama (npm)': keepsNoHouse,
  'litellm (PyPI)': keepsNoHouse,
}

export const isExcused = (client: string, name: string): boolean => excused[client]?.includes(name) ?? false

/** The case without its path. */
export const kindOf = (name: string): string => (name.startsWith('/') ? name.slice(name.lastIndexOf(' ') + 1) : name)

/** `/api/chat` of `/api/chat fails-reset`; null where the case has none. */
export const pathIn = (name: string): string | null => (name.startsWith('/') ? (name.split(' ')[0] ?? null) : null)

/** What one client should have tried and did not, or tried although it is excused; a path that it streams, it streams through everything. */
export const gaps = (told: readonly Told[]): string[] => {
  const client = told[0]?.client ?? ''
  const names = new Set(told.map((one) => one.case))
  const ways = new Set(
    [...names].filter((name) => name.startsWith('/')).map((name) => name.slice(0, name.lastIndexOf(' '))),
  )
  const lacking = [...calls, ...[...ways].flatMap((way) => streamCases.map((kind) => `${way} ${kind}`))].filter(
    (name) => !names.has(name) && !isExcused(client, name),
  )
  const idle = (excused[client] ?? []).filter((name) => names.has(name))
  return [
    ...(ways.size === 0 ? ['no stream'] : []),
    ...lacking,
    ...idle.map((name) => `${name}, although it is excused`),
  ]
}
