/** All who follow jobs by server-sent events, counted together: how many there are and what waits in memory for them is bounded. */

// One who never reads costs 1 MiB in Bun's sink and 4 MiB in the kernel's socket (measured), which no queue here can see.
export const FOLLOWERS_MAX = 256
// What waits for all of them together; more readers have less each.
const PENDING_MAX_BYTES = 32 * 1024 ** 2
// What waits for one.
const PENDING_EACH_MAX_BYTES = 1024 ** 2

/** The bytes that wait for one follower. */
export interface Pending {
  /** What waits for it now. */
  now(bytes: number): void
  /** It is behind: chunks are left out for it. */
  isSlow(): boolean
  /** Nothing more may wait for anybody behind: it is sent away, and comes back where it was. */
  isLost(): boolean
  leave(): void
}

export interface Followers {
  /** Null when there are too many. */
  join(): Pending | null
  readonly count: number
  readonly pendingBytes: number
}

/** The followers of one foreman. */
export const createFollowers = (): Followers => {
  let count = 0
  let pendingBytes = 0
  return {
    get count() {
      return count
    },
    get pendingBytes() {
      return pendingBytes
    },
    join() {
      if (count >= FOLLOWERS_MAX) return null
      count += 1
      let mine = 0
      let isHere = true
      const now = (bytes: number) => {
        if (!isHere) return
        pendingBytes += bytes - mine
        mine = bytes
      }
      return {
        now,
        isSlow: () => mine >= Math.min(PENDING_EACH_MAX_BYTES, PENDING_MAX_BYTES / count),
        isLost: () => mine > 0 && pendingBytes >= PENDING_MAX_BYTES,
        leave() {
          if (!isHere) return
          now(0)
          isHere = false
          count -= 1
        },
      }
    },
  }
}
