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

## Beside others

nginx and HAProxy, as Debian has them and with as many workers as there are cores, proxy the same calls in the same rounds; they
keep nothing and queue nothing. Olla, the fastest proxy made for Ollama that we know, was measured elsewhere and is quoted: 0.26x
of the bare proxy with JSON and 0.21x with NDJSON at 16 clients, and 0.38 ms on top of a direct call with one; it keeps nothing either.

## How it is measured

- The target answers at once with canned bytes. What remains is what stands between a client and a model.
- The bare proxy is \`Bun.serve\` and \`fetch\` and nothing else (\`bench/bare-proxy.ts\`): no queue, no row, no check.
- Group commit alone is one route that writes the same body into one table, many callers in a transaction (\`bench/bare-submit.ts\`).
- foreman is the compiled executable at log level warn.
- Rates and waits are those of \`wrk\` on keep-alive connections. All sides take turns in every round; ratios and differences are
  taken within a round, and each figure is the median over the rounds.
- Processor is what Linux counts for all threads and children of a process, here divided by the calls.
- Wake-ups are how often threads went to sleep of themselves. An idle foreman and one that owes webhooks rest a minute before they are looked at.
- A long table's start is cold: its file is not in the page cache. The sweep runs with pauses a tenth of a foreman's; what it does in a
  minute and a half is watched.
- The claim is measured on the store alone, with five models in the backlog.
- Memory is the resident set of the process; most of it is the executable itself, mapped from disk.
`
