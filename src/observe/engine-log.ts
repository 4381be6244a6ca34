/** Turns the engine's events into log lines and metrics: the one place that names them for the outside. */
import type { EngineEvent } from '../domain/job/events.ts'
import type { LogLevel } from '../domain/log-level.ts'
import type { Log, LogFields } from './log.ts'
import type { Metrics } from './metrics.ts'

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Level and fields of one event; the keys are the log's fixed names. */
const lineOf = (e: EngineEvent): [LogLevel, LogFields] => {
  switch (e.event) {
    case 'job_submitted':
      return ['debug', { job_id: e.jobId, kind: e.kind, model: e.model, endpoint: e.endpoint }]
    case 'job_loading':
      return ['info', { job_id: e.jobId, model: e.model, attempt: e.attempt }]
    case 'job_working':
      return ['debug', { job_id: e.jobId, model: e.model, attempt: e.attempt, queue_ms: e.queueMs }]
    case 'job_done': {
      const { jobId: job_id, kind, model, attempt, elapsedMs: elapsed_ms, servedBy } = e
      const by = servedBy && { served_by: servedBy.who, served_model: servedBy.model ?? model }
      return ['info', { job_id, kind, model, attempt, elapsed_ms, ...by }]
    }
    case 'job_failed': {
      const { code, message } = e.failure
      return ['warn', { job_id: e.jobId, kind: e.kind, model: e.model, attempt: e.attempt, code, message }]
    }
    case 'job_cancelled':
      return ['info', { job_id: e.jobId, kind: e.kind, model: e.model, attempt: e.attempt }]
    case 'job_relieved':
      return ['warn', { job_id: e.jobId, kind: e.kind, model: e.model, attempt: e.attempt, step: e.step }]
    case 'job_requeued': {
      const { outcome, deferred, retryInMs } = e
      return [
        'info',
        { job_id: e.jobId, model: e.model, attempt: e.attempt, outcome, deferred, retry_in_ms: retryInMs },
      ]
    }
    case 'settle_retried':
      return ['error', { job_id: e.jobId, error: messageOf(e.error) }]
    case 'loop_failed':
      return ['error', { loop: e.loop, error: e.error instanceof Error ? e.error.stack : messageOf(e.error) }]
    case 'slots_released':
      return ['error', { jobs: e.jobs }]
    case 'recovered':
      return ['info', { requeued: e.requeued, abandoned: e.abandoned, exhausted: e.exhausted }]
    case 'target_unreachable':
    case 'poll_failed':
      return ['warn', { message: e.message }]
    case 'target_hangs':
      return ['warn', { model: e.model, message: e.message }]
    case 'target_reached':
      return ['info', { version: e.version }]
    case 'alarm':
      return [e.state === 'raised' ? 'warn' : 'info', { part: e.part, alarm: e.name, state: e.state, message: e.words }]
    case 'noticed':
      return [e.level, e.fields]
    case 'webhook_accepted':
      return [
        'debug',
        {
          job_id: e.jobId,
          sequence: e.sequence,
          host: e.host,
          tries: e.tries,
          status: e.status,
          elapsed_ms: e.elapsedMs,
        },
      ]
    case 'webhook_retried':
      return [
        'info',
        {
          job_id: e.jobId,
          sequence: e.sequence,
          host: e.host,
          tries: e.tries,
          reason: e.reason,
          retry_in_ms: e.retryInMs,
        },
      ]
    case 'webhook_given_up':
      return ['warn', { job_id: e.jobId, sequence: e.sequence, host: e.host, tries: e.tries, reason: e.reason }]
    case 'swept':
      return ['info', { deleted: e.deleted }]
    default:
      return e satisfies never
  }
}

const count = (metrics: Metrics, e: EngineEvent): void => {
  if (e.event === 'job_loading') metrics.jobLoading()
  else if (e.event === 'job_working') metrics.jobWorking(e.queueMs)
  else if (e.event === 'job_requeued') metrics.jobRequeued(e.deferred)
  else if (e.event === 'job_done') metrics.jobFinished(e.kind, 'done', e.elapsedMs)
  else if (e.event === 'job_cancelled') metrics.jobFinished(e.kind, 'cancelled', null)
  else if (e.event === 'webhook_accepted') metrics.webhookTried('accepted')
  else if (e.event === 'webhook_retried') metrics.webhookTried('retried')
  else if (e.event === 'webhook_given_up') metrics.webhookTried('given_up')
  else if (e.event === 'job_failed') {
    metrics.jobFinished(e.kind, 'failed', null)
    metrics.jobFailed(e.failure.code)
  }
}

// What happens with every call: where nobody reads such lines they are not even made.
const often: ReadonlyMap<EngineEvent['event'], LogLevel> = new Map([
  ['job_submitted', 'debug'],
  ['job_working', 'debug'],
  ['job_done', 'info'],
] as const)

const write = (log: Log, e: EngineEvent): void => {
  const known = often.get(e.event)
  if (known !== undefined && !log.takes(known)) return
  const [level, fields] = lineOf(e)
  log[level](e.event === 'noticed' ? e.name : e.event, fields)
}

/** The engine's listener. */
export const createEngineLog =
  (log: Log, metrics: Metrics) =>
  (e: EngineEvent): void => {
    write(log, e)
    count(metrics, e)
  }

/** Hears of listeners that fail: the first time and then ever more rarely, so that one that always fails does not fill the disk. */
export const handlerFailed =
  (log: Log) =>
  (who: string, error: unknown, count: number): void => {
    if ((count & (count - 1)) !== 0) return
    log.error('handler_failed', { listener: who, count, error: error instanceof Error ? error.stack : String(error) })
  }
