/** One generation from the wish for a runner to the last chunk, the same for every API; it must never write a byte of JSON itself. */
import type { Origin } from './answer.ts'
import type { Runner } from './runner.ts'
import type { Grant } from './scheduler.ts'
import { type Ending, outOfMemory, type Piece, readScript, type Script, type Speech } from './script.ts'
import { streamSpeed } from './settings.ts'
import { BUSY, type Call, refuse, type Stage } from './stage.ts'
import type { Result, Task, Voice } from './voice.ts'

const outOfMemoryLoad = 'llama-server process has terminated: exit status 1: cudaMalloc failed: out of memory'
// A generation without delays must still let sockets be served.
const PIECES_PER_BREATH = 64

const joined = (pieces: readonly Piece[], kind: Piece['kind']): string => {
  let all = ''
  for (const piece of pieces) if (piece.kind === kind) all += piece.text
  return all
}

const speechOf = ({ settings }: Stage, task: Task): Speech | null =>
  settings.speech === 'words'
    ? { question: task, callsTool: task.tool?.isMeant === true && task.toolResult === null }
    : null

const scriptOf = (stage: Stage, task: Task, { fault }: Call): Script => {
  const script = readScript({ ...task, hasTools: task.tool !== null, speech: speechOf(stage, task) })
  if (fault?.kind === 'oom' && fault.phase !== 'load') return { ...script, pieces: [], ending: outOfMemory }
  if (fault?.kind !== 'error-mid-stream') return script
  const ending: Ending = { kind: 'broken', status: 500, text: fault.text, died: true, outOfMemory: false }
  return { ...script, pieces: script.pieces.slice(0, fault.chunks ?? 1), ending }
}

type Lease = Extract<Grant, { kind: 'ready' }>

const slowFactor = ({ fault }: Call): number => (fault?.kind === 'slow' ? fault.factor : 1)

/** The prompt's tokens: the model's fixed count, or a quarter of the characters. */
const promptTokens = ({ model, prompt }: Task): number =>
  model.spec.promptTokens ?? Math.max(1, Math.ceil(prompt.length / 4))

const resultOf = (
  stage: Stage,
  task: Task,
  script: Script,
  timing: { startNs: number; readyNs: number; workNs: number; spokenNs: number },
): Result => {
  const now = stage.pulse.nanoseconds()
  return {
    pieces: script.pieces,
    text: joined(script.pieces, 'text'),
    thinking: joined(script.pieces, 'thinking'),
    tool: script.pieces.some((piece) => piece.kind === 'tool') ? task.tool : null,
    reason: script.ending.kind === 'done' ? script.ending.reason : null,
    metrics: {
      total_duration: Math.max(1, Math.round(now - timing.startNs)),
      load_duration: Math.max(1, Math.round(timing.readyNs - timing.startNs)),
      prompt_eval_count: promptTokens(task),
      prompt_eval_duration: Math.max(1, Math.round(timing.workNs)),
      eval_count: script.pieces.length,
      eval_duration: Math.max(1, Math.round(timing.spokenNs)),
    },
  }
}

/** Waits until `dueNs`, false when the client left; undefined when it is due already. */
const untilDue = (stage: Stage, call: Call, dueNs: number): Promise<boolean> | undefined => {
  const waitMs = (dueNs - stage.pulse.nanoseconds()) / 1e6
  // Timers count whole milliseconds: faster than that, pieces come in bursts.
  return waitMs < 1 ? undefined : stage.pulse.delay(waitMs, call.exchange)
}

const waitUntil = async (stage: Stage, call: Call, dueNs: number): Promise<boolean> =>
  (await untilDue(stage, call, dueNs)) ?? !call.exchange.gone

/** The time to the next token right now: others on the same model slow it down. */
type Gap = () => number

const gapOf = (stage: Stage, runner: Runner | undefined, slow: number): Gap => {
  const { settings } = stage
  return () => {
    const speed = streamSpeed(settings, runner?.running ?? 1)
    return speed > 0 ? (1e9 / speed) * slow : 0
  }
}

/** Waits while the pieces come due and gives each to `say`; null when the client left, else when the last was over. */
const speak = async (
  stage: Stage,
  call: Call,
  script: Script,
  { first, gap }: { first: number; gap: Gap },
  say: (piece: Piece) => Promise<void> | undefined,
): Promise<number | null> => {
  let due = first
  let i = 0
  for (const piece of script.pieces) {
    // Only what has to wait does: a promise for each of many tokens costs more than the token.
    const wait = untilDue(stage, call, due)
    if (wait) await wait
    const pause = gap()
    if (pause === 0 && i % PIECES_PER_BREATH === PIECES_PER_BREATH - 1) await stage.pulse.breathe()
    if (call.exchange.gone) return null
    const slowReader = say(piece)
    if (slowReader) await slowReader
    if (call.exchange.gone) return null
    due += pause
    i++
  }
  return (await waitUntil(stage, call, due)) ? due : null
}

const streamed =
  ({ exchange }: Call, voice: Voice) =>
  (piece: Piece): Promise<void> | undefined => {
    let slowReader: Promise<void> | undefined
    for (const chunk of voice.piece(piece)) {
      if (!exchange.begun) exchange.begin(200, voice.streamHeaders)
      slowReader = exchange.chunk(chunk)
    }
    return slowReader
  }

/** A whole answer needs no clock per token while nothing can slow it down. */
const thinkThrough = async (stage: Stage, call: Call, script: Script, pace: { first: number; gap: Gap }) => {
  if (stage.settings.curve !== null) return speak(stage, call, script, pace, () => undefined)
  const due = pace.first + script.pieces.length * pace.gap()
  return (await waitUntil(stage, call, due)) ? due : null
}

const endStream = (stage: Stage, call: Call, ending: Ending, voice: Voice, result: Result) => {
  const { exchange } = call
  if (!exchange.begun && ending.kind === 'broken')
    return refuse(stage, call, ending.status, ending.text, { origin: 'stream', streaming: true })
  if (!exchange.begun) exchange.begin(200, voice.streamHeaders)
  const last =
    ending.kind === 'done' ? voice.finish(result) : ending.kind === 'broken' ? voice.breakOff(ending.text) : []
  for (const chunk of last) exchange.chunk(chunk)
  exchange.end()
}

const endWhole = (stage: Stage, call: Call, ending: Ending, voice: Voice, result: Result) => {
  if (ending.kind === 'broken') return refuse(stage, call, ending.status, ending.text)
  call.exchange.send(200, voice.wholeHeaders, voice.whole(result))
}

/** The work on a slot: how it ended, or null when it was cut off before. */
const work = async (
  stage: Stage,
  call: Call,
  task: Task,
  voice: Voice,
  { startNs, readyNs, runner }: { startNs: number; readyNs: number; runner: Runner | undefined },
): Promise<Ending | null> => {
  const script = scriptOf(stage, task, call)
  for (const id of script.ids) stage.tally.addTo('executions', id)
  const slow = slowFactor(call)
  const begunNs = stage.pulse.nanoseconds()
  const first = begunNs + (stage.settings.firstTokenMs + script.silentMs) * slow * 1e6
  const pace = { first, gap: gapOf(stage, runner, slow) }
  const over = task.streaming
    ? await speak(stage, call, script, pace, streamed(call, voice))
    : await thinkThrough(stage, call, script, pace)
  if (over === null) return null
  const spokenNs = over > first ? over - first : script.pieces.length * 1000
  const result = resultOf(stage, task, script, { startNs, readyNs, workNs: first - begunNs, spokenNs })
  if (task.streaming) endStream(stage, call, script.ending, voice, result)
  else endWhole(stage, call, script.ending, voice, result)
  // A commanded cut may have ended the exchange in the last chunk.
  return call.exchange.done ? script.ending : null
}

/** `lease` is null for work that happens elsewhere. */
const perform = async (stage: Stage, call: Call, task: Task, voice: Voice, startNs: number, lease: Lease | null) => {
  const { tally } = stage
  const runner = lease?.runner
  const readyNs = stage.pulse.nanoseconds()
  if (runner && !(await runner.slot(call.exchange))) return
  tally.add('generationsStarted')
  let ending: Ending | null = null
  try {
    ending = await work(stage, call, task, voice, { startNs, readyNs, runner })
  } finally {
    if (ending?.kind === 'broken' && runner) {
      runner.dead = ending.died
      if (ending.outOfMemory) stage.scheduler.expireAll()
    }
    runner?.leaveSlot()
    // Before the count, so that whoever waits for it sees the runner as it will stay.
    lease?.release()
    tally.add(ending ? 'generationsFinished' : 'generationsAborted')
  }
}

const answerAtOnce = (stage: Stage, call: Call, task: Task, voice: Voice): boolean => {
  const { exchange } = call
  const origin: Origin = task.streaming ? 'stream' : 'handler'
  if (task.loadOnly) exchange.send(200, voice.wholeHeaders, voice.loaded())
  else if (task.debugRender) exchange.send(200, voice.wholeHeaders, voice.debug())
  else if (task.lateError !== null) refuse(stage, call, 500, task.lateError, { origin, streaming: task.streaming })
  else return false
  return true
}

const refuseGrant = (stage: Stage, call: Call, task: Task, grant: Exclude<Grant, { kind: 'ready' }>) => {
  if (grant.kind === 'gone') return
  const { streaming } = task
  if (grant.kind === 'failed') return refuse(stage, call, 500, grant.text, { streaming })
  refuse(stage, call, 503, BUSY, { streaming })
}

/** Runs `task` and answers the call in `voice`. */
export const generate = async (stage: Stage, call: Call, task: Task, voice: Voice): Promise<void> => {
  const startNs = stage.pulse.nanoseconds()
  // A cloud stub runs elsewhere: no runner, no queue.
  if (task.model.spec.remoteHost !== undefined) {
    if (!answerAtOnce(stage, call, task, voice)) await perform(stage, call, task, voice, startNs, null)
    return
  }
  const { fault } = call
  const grant = await stage.scheduler.acquire({
    model: task.model,
    options: task.options,
    keepAliveMs: task.keepAliveMs,
    departure: call.exchange,
    slowFactor: slowFactor(call),
    loadError: fault?.kind === 'oom' && fault.phase === 'load' ? outOfMemoryLoad : undefined,
  })
  if (grant.kind !== 'ready') return refuseGrant(stage, call, task, grant)
  try {
    if (!answerAtOnce(stage, call, task, voice)) await perform(stage, call, task, voice, startNs, grant)
  } finally {
    grant.release()
  }
}
