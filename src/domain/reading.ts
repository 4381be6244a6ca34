/** A metric that is read at the moment of a scrape. */

/** Label values come from closed lists, never from a request. */
export interface Reading {
  readonly name: `foreman_${string}`
  readonly help: string
  readonly type: 'gauge' | 'counter'
  readonly samples: readonly { readonly value: number; readonly labels?: Readonly<Record<string, string>> }[]
}

const escaped = (value: string) => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

const labelled = (labels: Readonly<Record<string, string>> = {}): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

/** Prometheus text. */
export const readingText = ({ name, help, type, samples }: Reading): string => {
  const lines = samples.map(({ value, labels }) => `${name}${labelled(labels)} ${value}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}
