/** Prometheus text from what the engine tells; label values come from closed lists, never from a request. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { failures } from '../domain/job/failure.ts'
import { type Reading, readingText } from '../domain/reading.ts'
import { createDurations } from './durations.ts'

/** What is read at the moment of a scrape. */
export interface MetricsSources {
  readonly queued: () => number
  readonly oldestAgeSeconds: () => number
  readonly working: () => number
  /** The longest that the event loop was late since the last scrape. */
  readonly latestSeconds: () => number
  readonly targetReachable: () => boolean
  readonly degraded: () => boolean
  readonly webhooksOwed: () => number
  /** Listeners of the bus that threw, and events dropped for slow ones. */
  readonly handlerFailures: () => number
  /** What the parts have to say. */
  readonly readings: () => readonly Reading[]
}

export interface Metrics {
  jobFinished(kind: 'sync' | 'async', state: 'done' | 'failed' | 'cancelled', elapsedMs: number | null): void
  jobFailed(code: keyof typeof failures): void
  jobRequeued(deferred: boolean): void
  jobLoading(): void
  jobWorking(queueMs: number): void
  webhookTried(result: 'accepted' | 'retried' | 'given_up'): void
  text(): Promise<{ readonly contentType: string; readonly text: string }>
}

const SECONDS = [0.005, 0.05, 0.25, 1, 5, 15, 60, 300, 1_800]

type Finished = Record<'sync' | 'async', Record<'done' | 'failed' | 'cancelled', number>>

const finishedReading = (finished: Finished): Reading => ({
  name: 'foreman_jobs_finished_total',
  help: 'Jobs that reached a final state since start',
  type: 'counter',
  samples: Object.entries(finished).flatMap(([kind, states]) =>
    Object.entries(states).flatMap(([state, value]) => (value === 0 ? [] : [{ value, labels: { kind, state } }])),
  ),
})

/** Metrics with a registry of their own. */
export const createMetrics = (sources: MetricsSources): Metrics => {
  const registry = new Registry()
  const registers = [registry]
  // It cannot be told to leave the event loop alone, and would wake an idle foreman 100 times a second: it looks once an hour, and shows nothing of it.
  collectDefaultMetrics({ register: registry, prefix: 'foreman_', eventLoopMonitoringPrecision: 3_600_000 })
  for (const what of ['', '_min', '_max', '_mean', '_stddev', '_p50', '_p90', '_p99'])
    registry.removeSingleMetric(`foreman_nodejs_eventloop_lag${what}_seconds`)
  // Reading the heap's spaces walks the whole heap while nothing else runs: 140 ms with 2,000,000 objects.
  for (const what of ['total', 'used', 'available'])
    registry.removeSingleMetric(`foreman_nodejs_heap_space_size_${what}_bytes`)
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  gauge('foreman_queued_jobs', 'Jobs waiting now', sources.queued)
  gauge('foreman_working_jobs', 'Jobs on the slots now, at most FOREMAN_PARALLEL', sources.working)
  gauge(
    'foreman_event_loop_late_seconds',
    'The longest that a tick of the event loop was late since the last scrape',
    sources.latestSeconds,
  )
  gauge('foreman_oldest_queued_age_seconds', 'Age of the oldest waiting job', sources.oldestAgeSeconds)
  gauge('foreman_target_reachable', '1 when the target can be reached', () => Number(sources.targetReachable()))
  gauge('foreman_degraded', '1 when the last poll of the target failed', () => Number(sources.degraded()))
  const handlerFailures = (): Reading => ({
    name: 'foreman_handler_failures_total',
    help: 'Events that a listener could not take since start',
    type: 'counter',
    samples: [{ value: sources.handlerFailures() }],
  })
  gauge('foreman_webhooks_owed', 'Jobs whose receiver has not taken all of their webhooks yet', sources.webhooksOwed)
  const failed = new Counter({
    name: 'foreman_jobs_failed_total',
    help: 'Failed jobs by failure code since start',
    labelNames: ['code'],
    registers,
  })
  const requeued = new Counter({
    name: 'foreman_jobs_requeued_total',
    help: 'Jobs put back: attempt spent, or deferred because the target never got them',
    labelNames: ['reason'],
    registers,
  })
  const webhooks = new Counter({
    name: 'foreman_webhooks_total',
    help: 'Tries of webhooks since start: accepted, to be retried, or given up',
    labelNames: ['result'],
    registers,
  })
  const loads = new Counter({ name: 'foreman_model_loads_total', help: 'Loads asked for by the worker', registers })
  // Counted for every call: a registry would take 2 us for what takes an addition.
  const finished = { sync: { done: 0, failed: 0, cancelled: 0 }, async: { done: 0, failed: 0, cancelled: 0 } }
  const waited = createDurations('foreman_queue_seconds', 'Submit to work', SECONDS)
  const took = createDurations('foreman_job_seconds', 'Submit to done', SECONDS)
  return {
    jobFinished(kind, state, elapsedMs) {
      finished[kind][state]++
      if (elapsedMs !== null) took.observe(elapsedMs / 1_000)
    },
    jobFailed: (code) => failed.inc({ code: code in failures ? code : 'internal' }),
    jobRequeued: (deferred) => requeued.inc({ reason: deferred ? 'deferred' : 'attempt' }),
    jobLoading: () => loads.inc(),
    jobWorking: (queueMs) => waited.observe(queueMs / 1_000),
    webhookTried: (result) => webhooks.inc({ result }),
    text: async () => ({
      contentType: registry.contentType,
      text: [
        `${await registry.metrics()}\n`,
        waited.text(),
        took.text(),
        ...[finishedReading(finished), handlerFailures(), ...sources.readings()].map(readingText),
      ].join(''),
    }),
  }
}
