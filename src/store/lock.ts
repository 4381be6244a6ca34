/** One foreman per data directory: an flock that the kernel releases however the process ends. */
import { dlopen, FFIType } from 'bun:ffi'
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'

export type Lock =
  | { readonly kind: 'locked'; release(): void }
  /** `pid` is the holder's, as it wrote it itself. */
  | { readonly kind: 'held'; readonly pid: string }

const LOCK_EX = 2
const LOCK_NB = 4

const libraries = (platform: string, arch: string): string[] =>
  platform === 'darwin'
    ? ['libSystem.dylib']
    : ['libc.so.6', `libc.musl-${arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`]

const openLibc = () => {
  const problems: unknown[] = []
  for (const name of libraries(process.platform, process.arch)) {
    try {
      return dlopen(name, { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } })
    } catch (error) {
      problems.push(error)
    }
  }
  throw new AggregateError(problems, 'no C library with flock was found')
}

/** Takes the lock file at `path`, or says who holds it. */
export const acquireLock = (path: string): Lock => {
  const fd = openSync(path, 'a+', 0o600)
  const libc = openLibc()
  if (libc.symbols.flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    closeSync(fd)
    libc.close()
    return { kind: 'held', pid: readFileSync(path, 'utf8').trim() || 'unknown' }
  }
  ftruncateSync(fd)
  writeSync(fd, `${process.pid}\n`)
  return {
    kind: 'locked',
    release() {
      closeSync(fd)
      libc.close()
    },
  }
}
