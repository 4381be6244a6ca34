/** Signs of life to a client whose own patience is short: status 200 goes out before there is an answer, so whatever is wrong later is said inside it; it must never end cleanly without one. */
import type { Clock } from '../../domain/clock.ts'
import { parseDurationMs } from '../../domain/duration.ts'
import type { Call } from '../../domain/wire/call.ts'
import { errorText } from '../../domain/wire/refusal.ts'
import { streamErrorBytes } from '../../domain/wire/stream-watch.ts'
import type { Place } from '../place.ts'
import { eventHeaders } from '../refuse.ts'

export interface HeartbeatDeps {
  readonly clock: Pick<Clock, 'after'>
  readonly call: Call
  /** Null while it has none. */
  readonly jobId: () => string | null
  readonly everyMs: number
  /** Where the call stands at this moment. */
  readonly place: () => Place
  /** The client is gone. */
  readonly left: () => void
  /** The head has gone out before the answer. */
  readonly opened: () => void
}

const EVERY_MIN_MS = 1_000
const EVERY_MAX_MS = 3_600_000
// Long enough for the words before it to have left.
const CUT_AFTER_MS = 100

/** What a call asks for in X-Foreman-Heartbeat, else the setting; 0 = none. What cannot be understood counts as not said. */
export const heartbeatMs = (header: string | null, settingMs: number): number => {
  if (header === null) return settingMs
  if (header.trim().toLowerCase() === 'off') return 0
  const parsed = parseDurationMs(header.trim())
  if (parsed.kind === 'bad') return settingMs
  return parsed.value <= 0 ? 0 : Math.min(Math.max(parsed.value, EVERY_MIN_MS), EVERY_MAX_MS)
}

/** Whether an answer may begin before it is known: its framing must be, and it is where the route is. */
export const mayBeat = ({ route }: Call): boolean =>
  route.class === 'queued' && !route.unlisted && route.path !== '/v1/audio/transcriptions'

const contentTypeOf = ({ route, stream }: Call): string => {
  if (route.flavour === 'native') return stream ? 'application/x-ndjson' : 'application/json; charset=utf-8'
  return stream ? 'text/event-stream' : 'application/json'
}

/** `name=3` of what is known. */
const known = ({ position, eta_seconds }: Place): (readonly [name: string, value: string])[] => [
  ...(position === null ? [] : [['position', String(position)] as const]),
  ...(eta_seconds === null ? [] : [['eta_seconds', String(eta_seconds)] as const]),
]

const headerNames: Readonly<Record<string, string>> = {
  position: 'X-Foreman-Position',
  eta_seconds: 'X-Foreman-Eta-Seconds',
}

/** No client minds blanks before a JSON value or a comment between events; an empty line ends some of them. */
const beatOf = ({ call: { route, stream }, place }: HeartbeatDeps): Uint8Array => {
  if (!stream || route.flavour === 'native') return new TextEncoder().encode(' ')
  const words = ['waiting', ...known(place()).map(([name, value]) => `${name}=${value}`)]
  return new TextEncoder().encode(`: ${words.join('; ')}\n\n`)
}

/** Whatever can be said before the answer is known; how long it waited cannot. */
const headOf = ({ call, jobId, place }: HeartbeatDeps): [string, string][] => {
  const id = jobId()
  return [
    ['Content-Type', contentTypeOf(call)],
    ...eventHeaders(call.route.flavour, call.stream),
    ...(id === null ? [] : [['X-Foreman-Job-Id', id] as [string, string]]),
    ...known(place()).map(([name, value]): [string, string] => [headerNames[name] ?? name, value]),
  ]
}

/** As much of a reader as is used here. */
interface Source {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
  cancel(): Promise<void>
}

type Controller = ReadableStreamDefaultController<Uint8Array>

/** A refusal that came too late for its status. */
const tell = async (controller: Controller, response: Response, { call, clock }: HeartbeatDeps) => {
  const body = new Uint8Array(await response.arrayBuffer())
  if (call.stream) {
    const message = errorText(body) ?? `the answer is a ${response.status}`
    controller.enqueue(streamErrorBytes(call.route.flavour, message, true))
    controller.close()
    return
  }
  // To most clients a whole body under 200 is a success, whatever it says: only a cut is none.
  controller.enqueue(body)
  clock.after(CUT_AFTER_MS, () => controller.error(new Error(`the answer is a ${response.status}`)))
}

/** The answer as it comes, or, when it is not there after `everyMs`, one that has begun and waits for it. */
export const withHeartbeat = (answered: Promise<Response>, deps: HeartbeatDeps): Promise<Response> => {
  const { clock, everyMs, left, opened } = deps
  let reader: Source | null = null
  let cancelBeat = () => {}
  let isGone = false

  const beat = (controller: Controller) => {
    controller.enqueue(beatOf(deps))
    cancelBeat = clock.after(everyMs, () => beat(controller))
  }
  const take = async (controller: Controller) => {
    const response = await answered
    cancelBeat()
    if (isGone) return void response.body?.cancel()
    if (response.status >= 300 || response.body === null) return tell(controller, response, deps)
    reader = response.body.getReader()
  }
  const open = (): Response => {
    let taken: Promise<void> | undefined
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        beat(controller)
        taken = take(controller).catch((error: unknown) => controller.error(error))
      },
      async pull(controller) {
        await taken
        if (reader === null) return
        const { done, value } = await reader.read()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel() {
        isGone = true
        cancelBeat()
        left()
        void reader?.cancel()
      },
    })
    opened()
    return new Response(body, { headers: headOf(deps) })
  }

  return new Promise((resolve) => {
    cancelBeat = clock.after(everyMs, () => resolve(open()))
    void answered.then((response) => {
      // Too late when it has begun without it.
      cancelBeat()
      resolve(response)
    })
  })
}
