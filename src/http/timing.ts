/** How long a connection may stay silent; the setting stays with the connection, so whoever lifts it must put it back. */

/** An idle connection lives longer than it does in the pools of the usual proxies (60 to 90 s), so that they close it first. */
export const IDLE_TIMEOUT_S = 120
// A body that stops arriving is cut within 30 s: Bun looks every 4 s (25 takes 28).
const BODY_TIMEOUT_S = 25

/** The part of the server that times connections. */
export interface TimingServer {
  timeout(request: Request, seconds: number): void
}

/** The timing of one request's connection. */
export interface Timing {
  readingBody(): void
  /** A waiting client may wait. */
  untimed(): void
  /** What is answered goes on after its head: whoever ends it says `timed`. */
  streaming(): void
  timed(): void
  /** The answer is on its way: without a stream behind it the connection may idle out again. */
  answered(): void
}

/** Times the connection of `request`; without a server, in a test, it does nothing. */
export const timingOf = (request: Request, server: TimingServer | null): Timing => {
  let isStreaming = false
  // Each change is a call into the server: what stands already is not said again.
  let seconds: number = IDLE_TIMEOUT_S
  const set = (wanted: number) => {
    if (wanted === seconds) return
    seconds = wanted
    server?.timeout(request, wanted)
  }
  const timed = () => set(IDLE_TIMEOUT_S)
  return {
    readingBody: () => set(BODY_TIMEOUT_S),
    untimed: () => set(0),
    streaming() {
      isStreaming = true
    },
    timed,
    answered() {
      if (!isStreaming) timed()
    },
  }
}
