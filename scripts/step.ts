/** Child processes of the scripts: run one, keep what it said, know how it ended; it must never leave one running. */

export interface Finished {
  readonly code: number
  readonly said: string
  readonly seconds: number
}

export interface StepOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly onLine?: (line: string) => void
}

/** Runs this same bun with `args` from the repository's root, without stdin, both outputs together. */
export const runBun = async (args: readonly string[], { env, onLine }: StepOptions = {}): Promise<Finished> => {
  const startedAt = performance.now()
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: `${import.meta.dir}/..`,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const lines: string[] = []
  const keep = (line: string) => {
    lines.push(line)
    onLine?.(line)
  }
  await Promise.all([eachLine(child.stdout, keep), eachLine(child.stderr, keep)])
  return { code: await child.exited, said: lines.join('\n'), seconds: (performance.now() - startedAt) / 1000 }
}

/** Calls `take` for every line as it comes. */
export const eachLine = async (stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> => {
  const decoder = new TextDecoder()
  let open = ''
  for await (const chunk of stream) {
    const lines = (open + decoder.decode(chunk, { stream: true })).split('\n')
    open = lines.pop() ?? ''
    for (const line of lines) take(line)
  }
  if (open !== '') take(open)
}
