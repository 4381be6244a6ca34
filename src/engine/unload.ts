/** The unload idiom, which frees the target of a model; it must never be used on what is at work for somebody. */
import { type Asked, askTarget } from './ask.ts'
import type { SendTarget } from './ports.ts'

// Measured on a real server: an unload frees everything behind it within 8 s.
const UNLOAD_TIMEOUT_MS = 15_000

/** The unload idiom: at once where the model is idle, else when its work ends. */
export const askUnload = (target: SendTarget, name: string, signal?: AbortSignal): Promise<Asked> => {
  const body = JSON.stringify({ model: name, keep_alive: 0 })
  return askTarget(target, '/api/generate', { body, wholeTimeoutMs: UNLOAD_TIMEOUT_MS, ...(signal && { signal }) })
}
