/** Joining bytes and putting some in between; it must never look into them. */

/** Joins pieces into one array. */
export const concat = (pieces: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

// For what foreman adds to a body: a keep_alive, a stream, a context.
const ROOM_BYTES = 1_024
// What has to move behind a place where something is put in; a longer rest is copied with all of it.
const REST_MAX_BYTES = 65_536

/** Bytes with room behind them. Parts of them have none: what lies behind a part is the next one. */
export class RoomyBytes extends Uint8Array<ArrayBuffer> {
  static get [Symbol.species]() {
    return Uint8Array
  }
}

/** So many bytes with room behind them: a member is added to 128 MiB in no time, where a copy takes 60 ms and as much memory again. */
export const roomy = (length: number): RoomyBytes => new RoomyBytes(new ArrayBuffer(length + ROOM_BYTES), 0, length)

/** The bytes with `added` put in at `offset`. Roomy ones are changed where they are: whoever gave them away has the result alone. */
export const withInserted = (bytes: Uint8Array, offset: number, added: Uint8Array): Uint8Array => {
  const length = bytes.length + added.length
  if (bytes instanceof RoomyBytes && length <= bytes.buffer.byteLength && bytes.length - offset <= REST_MAX_BYTES) {
    const longer = new RoomyBytes(bytes.buffer, 0, length)
    longer.copyWithin(offset + added.length, offset, bytes.length)
    longer.set(added, offset)
    return longer
  }
  const out = new Uint8Array(length)
  out.set(bytes.subarray(0, offset))
  out.set(added, offset)
  out.set(bytes.subarray(offset), offset + added.length)
  return out
}

/** Whether two byte strings are equal. */
export const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a === b || (a.length === b.length && a.every((byte, i) => byte === b[i]))
