/** What a status says about the moment and not about the request; it must never name one that Ollama uses for a refusal. */

const between: ReadonlySet<number> = new Set([407, 408, 425, 504, 511])

/** Said by Ollama itself, its cloud or a proxy: there, but not now. */
export const isBusy = (status: number): boolean => status === 429 || status === 502 || status === 503

/** Said only by what stands between: the request got to no model, or its answer never got out. 520 to 530 are Cloudflare's. */
export const isBetween = (status: number): boolean => between.has(status) || (status >= 520 && status <= 530)
