/** Does something under a signal that follows several, and lets go of them afterwards; AbortSignal.any would keep a kilobyte of each call on a signal that lives as long as a loop. */
export const following = async <T>(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  const own = new AbortController()
  const end = () => own.abort()
  for (const signal of signals) {
    if (signal.aborted) end()
    signal.addEventListener('abort', end, { once: true })
  }
  try {
    return await work(own.signal)
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', end)
  }
}
