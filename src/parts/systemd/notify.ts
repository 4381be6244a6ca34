/** Datagrams to systemd's socket: Bun has no unix datagram sockets, so the C library is asked; nothing here may block or throw. */
import { dlopen, FFIType, ptr } from 'bun:ffi'

export type Notify =
  | {
      readonly kind: 'open'
      /** Lines such as `READY=1`; one that is not taken is lost, as systemd's own library has it. */
      tell(state: string): void
      close(): void
    }
  | { readonly kind: 'impossible'; readonly message: string }

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const PATH_MAX_BYTES = 107

/** `struct sockaddr_un`: a family of two bytes and the path; `@` stands for the zero of an abstract one. */
const addressOf = (path: string): Uint8Array | null => {
  const bytes = new TextEncoder().encode(path)
  if (bytes.length > PATH_MAX_BYTES || !/^[/@]/.test(path)) return null
  const address = new Uint8Array(2 + bytes.length + (path.startsWith('@') ? 0 : 1))
  new DataView(address.buffer).setUint16(0, AF_UNIX, true)
  address.set(bytes, 2)
  if (path.startsWith('@')) address[2] = 0
  return address
}

const functions = {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
} as const

const openLibc = () => {
  const musl = `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`
  try {
    return dlopen('libc.so.6', functions)
  } catch {
    return dlopen(musl, functions)
  }
}

/** Opens a socket for the address in NOTIFY_SOCKET; only Linux has systemd. */
export const openNotify = (path: string): Notify => {
  const address = addressOf(path)
  if (address === null) return { kind: 'impossible', message: `NOTIFY_SOCKET is ${JSON.stringify(path)}` }
  try {
    const { symbols, close } = openLibc()
    const fd = symbols.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    if (fd < 0) return { kind: 'impossible', message: 'the system gives no unix datagram socket' }
    return {
      kind: 'open',
      tell(state) {
        const bytes = new TextEncoder().encode(state)
        symbols.sendto(fd, ptr(bytes), bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, ptr(address), address.length)
      },
      close() {
        symbols.close(fd)
        close()
      },
    }
  } catch (error) {
    return { kind: 'impossible', message: error instanceof Error ? error.message : String(error) }
  }
}
