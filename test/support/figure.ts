/** Reports a measured figure to whoever runs the long tests; it must never decide whether a test passes. */

/** Prints one line that `bun run check:long` collects into its table, for example figure('D1', 'lost after 10,000 kills', 0). */
export const figure = (promise: string, measured: string, value: string | number): void => {
  const cells = ['figure', promise, measured, String(value)].map((cell) => cell.replace(/[\t\n|]/g, ' '))
  process.stdout.write(`${cells.join('\t')}\n`)
}
