/** One foreman per data directory: an flock that the kernel releases however the process ends. */
import { dlopen, FFIType, read } from 'bun:ffi'
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'

export type Lock =
  | { readonly kind: 'locked'; release(): void }
  /** `pid` is the holder's, as it wrote it itself. */
  | { readonly kind: 'held'; readonly pid: string }
  /** Not a matter of who holds it: `code` is what the system said. */
  | { readonly kind: 'impossible'; readonly code: string }

/** The C library's flock: 0, or the system's number of the error. */
export interface Flock {
  call(fd: number, operation: number): number
  close(): void
}

const LOCK_EX = 2
const LOCK_NB = 4
const { EWOULDBLOCK: WOULD_BLOCK, ENOLCK, ENOTSUP, EOPNOTSUPP, ENOSYS, EINVAL, EPERM, EIO } = constants.errno
/** What network and FUSE file systems without locks answer. */
const hopeless: readonly number[] = [ENOLCK, ENOTSUP, EOPNOTSUPP, ENOSYS, EINVAL, EPERM, EIO]

const libraries = (platform: string, arch: string): string[] =>
  platform === 'darwin'
    ? ['libSystem.dylib']
    : ['libc.so.6', `libc.musl-${arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`]

const flockType = { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } as const
/** Where the C library keeps the number of the last error. */
const errnoType = { args: [], returns: FFIType.ptr } as const

const openLibc = (name: string) => {
  if (process.platform === 'darwin') {
    const { symbols, close } = dlopen(name, { flock: flockType, __error: errnoType })
    return { flock: symbols.flock, errno: symbols.__error, close }
  }
  const { symbols, close } = dlopen(name, { flock: flockType, __errno_location: errnoType })
  return { flock: symbols.flock, errno: symbols.__errno_location, close }
}

const openFlock = (): Flock => {
  const problems: unknown[] = []
  for (const name of libraries(process.platform, process.arch)) {
    try {
      const { flock, errno, close } = openLibc(name)
      const lastError = () => {
        const at = errno()
        return at === null ? 0 : read.i32(at)
      }
      return { call: (fd, operation) => (flock(fd, operation) === 0 ? 0 : lastError() || WOULD_BLOCK), close }
    } catch (error) {
      problems.push(error)
    }
  }
  throw new AggregateError(problems, 'no C library with flock was found')
}

const nameOf = (errno: number): string =>
  Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `error ${errno}`

/** Takes the lock file at `path`, or says who holds it, or that this file system has no locks. */
export const acquireLock = (path: string, flock: Flock = openFlock()): Lock => {
  const fd = openSync(path, 'a+', 0o600)
  const errno = flock.call(fd, LOCK_EX | LOCK_NB)
  if (errno !== 0) {
    closeSync(fd)
    flock.close()
    if (hopeless.includes(errno)) return { kind: 'impossible', code: nameOf(errno) }
    return { kind: 'held', pid: readFileSync(path, 'utf8').trim() || 'unknown' }
  }
  ftruncateSync(fd)
  writeSync(fd, `${process.pid}\n`)
  return {
    kind: 'locked',
    release() {
      closeSync(fd)
      flock.close()
    },
  }
}
