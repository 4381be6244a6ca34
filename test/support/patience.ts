/** Bounds the wait for something that must come; it must never be used to wait for time itself. */

// Often enough to lose little time, seldom enough that many who wait leave the processor to those who work.
const LOOK_AGAIN_MS = 4

/** Settles as `promise` does, or rejects with `what` when nothing came within `limitMs`. */
export const within = async <T>(limitMs: number, what: string, promise: Promise<T>): Promise<T> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hung: ${what} (nothing within ${limitMs} ms)`)), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Looks again and again until `ask` gives something other than null. */
export const eventually = async <T>(limitMs: number, what: string, ask: () => Promise<T | null>): Promise<T> => {
  const until = performance.now() + limitMs
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (performance.now() > until) throw new Error(`hung: ${what} (not within ${limitMs} ms)`)
    await Bun.sleep(LOOK_AGAIN_MS)
  }
}
