/** How long a connection may stay silent; the setting stays with the connection, so whoever lifts it must put it back. */

/** An idle connection lives a minute. */
export const IDLE_TIMEOUT_S = 60
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
  timed(): void
}

/** Times the connection of `request`; without a server, in a test, it does nothing. */
export const timingOf = (request: Request, server: TimingServer | null): Timing => ({
  readingBody: () => server?.timeout(request, BODY_TIMEOUT_S),
  untimed: () => server?.timeout(request, 0),
  timed: () => server?.timeout(request, IDLE_TIMEOUT_S),
})
