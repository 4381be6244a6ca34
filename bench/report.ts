/** Puts the rows into a table for people and into docs/performance.md; it must never name the machine. */
import { cpus, totalmem, type } from 'node:os'
import type { Row } from './row.ts'

const verdict = ({ isKept }: Row): string => (isKept === null ? '' : isKept ? 'kept' : 'MISSED')

/** A table of fixed width. */
export const asText = (rows: readonly Row[]): string => {
  const cells = rows.map((row) => [row.name, row.measured, row.wanted, verdict(row)])
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)))
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const machine = (): string => {
  const processors = cpus()
  const gibibytes = Math.round(totalmem() / 2 ** 30)
  const model = processors[0]?.model.trim() ?? 'unknown processor'
  return `${processors.length} cores (${model}), ${gibibytes} GiB, ${type()}, Bun ${Bun.version}`
}

const asMarkdown = (rows: readonly Row[]): string => {
  const lines = rows.map((row) => `| ${row.name} | ${row.measured} | ${row.wanted} | ${verdict(row)} |`)
  return ['| what | measured | promised | |', '|---|---|---|---|', ...lines].join('\n')
}

/** The whole document. */
export const asDocument = (rows: readonly Row[], date: Date): string => `# Performance

Written by \`bun run bench --write\` on ${date.toISOString().slice(0, 10)}: ${machine()}.
Load generator, target, bare proxy and foreman share these cores; the figures say how foreman compares, not how fast
a machine of yours is.

${asMarkdown(rows)}

## How it is measured

- The target answers at once with canned bytes. What remains is what stands between a client and a model.
- The bare proxy is \`Bun.serve\` and \`fetch\` and nothing else (\`bench/bare-proxy.ts\`): no queue, no row, no check.
- foreman is the compiled executable at log level warn. A queued call writes its row in one or two transactions.
- Direct, bare proxy and foreman take turns on keep-alive connections of one load generator (\`bench/load.ts\`), each a
  process of its own. Figures are medians over the rounds; differences are taken within a round first.
- The claim is measured on the store alone, with five models in the backlog.
- Memory is the resident set of the process; most of it is the executable itself, mapped from disk.
`
