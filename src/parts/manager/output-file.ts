/** Where a managed Ollama writes: a file, because a pipe would break with foreman and take Ollama along; it must never grow without bound. */
import { closeSync, openSync, readSync, renameSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'

// Ollama writes a few lines for each load and request; with OLLAMA_DEBUG many more.
const BYTES_MAX = 16 * 1_048_576
const TAIL_BYTES = 4_096
const WORDS_MAX = 300

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** `name` is that of the file in the data directory. */
export const createOutputFile = (dataDir: string, name = 'ollama.log') => {
  const path = join(dataDir, name)
  // What earlier ones said is not this one's.
  let fromBytes = 0
  return {
    /** Opened for a child, who appends; whoever opened it closes it. */
    open(): number {
      if (sizeOf(path) > BYTES_MAX) renameSync(path, `${path}.1`)
      fromBytes = sizeOf(path)
      return openSync(path, 'a', 0o600)
    },
    /** While a child appends: what it wrote so far goes when it is too much. */
    bound() {
      if (sizeOf(path) <= BYTES_MAX) return
      truncateSync(path)
      fromBytes = 0
    },
    /** The last line since it was opened last that is not about a request: with OLLAMA_DEBUG there are prompts in some, which are nobody's to read. */
    lastWords(): string {
      const size = sizeOf(path)
      if (size <= fromBytes) return ''
      const from = Math.max(fromBytes, size - TAIL_BYTES)
      const fd = openSync(path, 'r')
      try {
        const bytes = Buffer.alloc(size - from)
        const read = readSync(fd, bytes, 0, bytes.length, from)
        // What begins in the middle of a line may be of any kind.
        const lines = bytes
          .toString('utf8', 0, read)
          .split('\n')
          .slice(from > fromBytes ? 1 : 0)
        const last = lines.findLast((line) => line.trim() !== '' && !/^\[GIN\]|\blevel=(DEBUG|TRACE)\b/.test(line))
        return (last ?? '').trim().slice(-WORDS_MAX)
      } finally {
        closeSync(fd)
      }
    },
  }
}

export type OutputFile = ReturnType<typeof createOutputFile>
