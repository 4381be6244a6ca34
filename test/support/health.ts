/** What a foreman says about itself, as a test waits for it; it must never look inside. */
import { eventually } from './patience.ts'

/** The part of GET /healthz that tests use. */
export interface Health {
  readonly degraded: boolean
  readonly last_poll: string | null
  readonly target: { readonly reachable: boolean; readonly resident: readonly string[] }
  readonly queue: { readonly queued: number; readonly working: number }
  readonly worker: { readonly state: string; readonly job_id: string | null; readonly model: string | null }
}

/** One look. */
export const readHealth = async ({ url }: { readonly url: string }): Promise<Health> =>
  (await (await fetch(`${url}/healthz`)).json()) as Health

/** Looks until `predicate` holds. */
export const healthIs = (
  foreman: { readonly url: string },
  what: string,
  predicate: (health: Health) => boolean,
  limitMs = 10_000,
): Promise<Health> =>
  eventually(limitMs, what, async () => {
    const health = await readHealth(foreman)
    return predicate(health) ? health : null
  })

/** The target has been asked what it has. */
export const polled = (foreman: { readonly url: string }): Promise<Health> =>
  healthIs(foreman, 'the first poll', ({ last_poll }) => last_poll !== null)

/** Nobody waits and nothing runs. */
export const idle = (foreman: { readonly url: string }, limitMs = 10_000): Promise<Health> =>
  healthIs(
    foreman,
    'an empty queue and a free worker',
    ({ queue, worker }) => queue.queued === 0 && worker.job_id === null,
    limitMs,
  )
