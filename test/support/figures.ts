/** Prints a measured figure of a test run, so that promises.md can be kept true; it must never decide anything. */

/**
 * One line on stdout: `figure`, the promise's id, what was measured and its value, cut by tabs; `bun run check:long` collects them.
 * Without a value, what stands behind the last colon is one.
 */
export const figure = (id: string, text: string, given?: string | number): void => {
  const colon = given === undefined ? text.lastIndexOf(': ') : -1
  const measured = colon < 0 ? text : text.slice(0, colon)
  const value = colon < 0 ? String(given ?? '') : text.slice(colon + 2)
  process.stdout.write(`${['figure', id, measured, value].map((cell) => cell.replace(/[\t\n|]/g, ' ')).join('\t')}\n`)
}

/** The seed of this run: FOREMAN_TEST_SEED, or a fresh one; it is printed so that a failure can be had again. */
export const seedOf = (name: string): number => {
  const seed = Number(process.env['FOREMAN_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  process.stderr.write(`seed ${name}: ${seed}\n`)
  return seed
}
