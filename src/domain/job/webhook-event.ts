/** What the world is told of a job: the webhook body of a transition, and results and artifacts as every answer shows them. Pure. */
import { isFinal, type JobState } from './job.ts'
import type { ListedArtifact, StoredTransition } from './reading.ts'

/** How results are shown. */
export interface Showing {
  /** Results up to this size stand inside. */
  readonly inlineMaxBytes: number
  /** Base of absolute links; null = links are paths. */
  readonly publicUrl: string | null
}

export interface ArtifactView {
  readonly name: string
  readonly content_type: string
  readonly size: number
  /** JSON value, text, or base64 of anything else; null above the limit. */
  readonly inline: unknown
  /** Where the bytes are; null when they stand inside. */
  readonly url: string | null
}

export interface ErrorView {
  readonly code: string
  readonly message: string
}

export interface WebhookEvent {
  readonly job_id: string
  readonly state: JobState
  readonly previous_state: JobState | null
  readonly sequence: number
  readonly timestamp: string
  readonly model: string
  readonly attempt: number
  /** Null until it is done. */
  readonly served_by: 'target' | 'fallback' | null
  readonly served_model: string | null
  readonly error: ErrorView | null
  readonly result: unknown
  readonly artifacts: readonly ArtifactView[] | null
}

/** The artifact that every finished job has: the final native answer. */
export const COMPLETION = 'completion'

/** The absolute link when foreman knows its public address, else the path. */
export const linkTo = (path: string, publicUrl: string | null): string =>
  publicUrl === null ? path : `${publicUrl.replace(/\/+$/, '')}${path}`

/** Why it failed, as every answer shows it. */
export const errorView = (code: string | null, message: string | null): ErrorView | null =>
  code === null ? null : { code, message: message ?? '' }

const isJson = (contentType: string) => /^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)
const isText = (contentType: string) => /^text\//i.test(contentType)

/** JSON as its value, text as text, anything else as base64; JSON that cannot be read is shown as text. */
const inlineValue = (contentType: string, body: Uint8Array): unknown => {
  if (!isJson(contentType) && !isText(contentType)) return body.toBase64()
  const text = new TextDecoder().decode(body)
  if (isText(contentType)) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** One artifact with its bytes when they are few, else with a link to them. */
export const artifactView = (jobId: string, artifact: ListedArtifact, showing: Showing): ArtifactView => {
  const { name, contentType, size, body } = artifact
  const isInline = body !== null && size <= showing.inlineMaxBytes
  const path = `/jobs/${jobId}/artifacts/${encodeURIComponent(name)}`
  return {
    name,
    content_type: contentType,
    size,
    inline: isInline ? inlineValue(contentType, body) : null,
    url: isInline ? null : linkTo(path, showing.publicUrl),
  }
}

/** The final answer under the same limit as its artifact. */
export const resultOf = (views: readonly ArtifactView[]): unknown =>
  views.find(({ name }) => name === COMPLETION)?.inline ?? null

/** The body of one webhook. `result` and `artifacts` are there on final states; every other member always is. */
export const webhookEvent = (
  job: { readonly id: string; readonly model: string },
  transition: StoredTransition,
  artifacts: readonly ListedArtifact[],
  showing: Showing,
): WebhookEvent => {
  const { state, previousState, sequence, at, attempt, errorCode, errorMessage, servedBy } = transition
  const views = isFinal(state) ? artifacts.map((artifact) => artifactView(job.id, artifact, showing)) : null
  return {
    job_id: job.id,
    state,
    previous_state: previousState,
    sequence,
    timestamp: new Date(at).toISOString(),
    model: job.model,
    attempt,
    served_by: servedBy,
    served_model: servedBy === null ? null : (transition.servedModel ?? job.model),
    error: errorView(errorCode, errorMessage),
    result: views === null ? null : resultOf(views),
    artifacts: views,
  }
}
