/** Prints a measured figure of a test run, so that promises.md can be kept true; it must never decide anything. */

/** One line on stderr: the promise's id, what was measured and the value. */
export const figure = (id: string, text: string): void => {
  process.stderr.write(`figure ${id}: ${text}\n`)
}

/** The seed of this run: FOREMAN_TEST_SEED, or a fresh one; it is printed so that a failure can be had again. */
export const seedOf = (name: string): number => {
  const seed = Number(process.env['FOREMAN_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  process.stderr.write(`seed ${name}: ${seed}\n`)
  return seed
}
