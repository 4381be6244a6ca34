/** Lets everything else have its turn: whoever works through something large calls it every few milliseconds. */

/** Resolves once everything that is ready has run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
