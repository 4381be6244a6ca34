/** Control calls: to the target while it answers, from what is known of it while it is away; they must never wait behind anything but its return. */
import type { Clock } from '../../domain/clock.ts'
import { HOPS_HEADER } from '../../domain/wire/hops.ts'
import type { Route } from '../../domain/wire/routes.ts'
import type { Engine } from '../../engine/engine.ts'
import type { Timing } from '../timing.ts'
import type { Forward } from './forwarding.ts'
import { type Known, REMEMBERED_BYTES_MAX } from './known.ts'

export interface ControlDeps {
  readonly engine: Pick<Engine, 'poller' | 'state'>
  readonly forward: Forward
  readonly known: Known
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** A request for a control route, with its connection's timer. */
export interface ControlPassage {
  readonly route: Route
  readonly request: Request
  readonly timer: Pick<Timing, 'streaming' | 'timed'>
}

// Whoever asks again and again while the target is away has it looked for, but not with every question.
const LOOK_EVERY_MS = 5_000

/** The handler of all control routes; `ended` is called with the status once the whole answer has gone by. */
export const createControl = ({ engine, forward, known, clock }: ControlDeps) => {
  const { poller, state } = engine
  let lookedAtMs = Number.NEGATIVE_INFINITY
  const look = () => {
    if (clock.monotonicMs() - lookedAtMs < LOOK_EVERY_MS) return
    lookedAtMs = clock.monotonicMs()
    void poller.poll()
  }

  return async (
    { route, request, timer }: ControlPassage,
    body: Uint8Array | null | 'stream',
    ended?: (status: number) => void,
  ): Promise<Response> => {
    // Another foreman wants to know whether the target is there, and remembers by itself.
    const isForeman = request.headers.has(HOPS_HEADER)
    const question = isForeman || body === 'stream' ? null : known.question(route, request, body)
    const answered = state.view.reachable ? null : (question?.answer() ?? null)
    if (answered !== null) {
      look()
      return answered
    }
    const isQuestion = request.method === 'GET' || request.method === 'HEAD' || route.path === '/api/show'
    return forward(request, {
      flavour: route.flavour,
      body,
      repeatable: isQuestion,
      // What was never asked before waits as a chat does.
      patient: question !== null,
      // An upload says nothing for as long as it takes, and leaves little room for a question.
      endsOn: body === 'stream' ? 'liveness' : 'doubt',
      gather: question && { ...question, bytesMax: REMEMBERED_BYTES_MAX },
      onStream: timer.streaming,
      onEnd(status) {
        timer.timed()
        ended?.(status)
        // What is installed may have changed: look at once.
        if (route.writes && status < 300) void poller.poll()
      },
      instead: () => question?.answer() ?? null,
    })
  }
}
