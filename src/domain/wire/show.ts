/** What a POST /api/show asks for: its model, and everything in it that the answer depends on; it must never take two different questions for one. */
import { decodeField, type Field, field, type Scan, scanObject, valueField } from './go-json.ts'
import { canonicalOf, displayName, parseModelName } from './model-name.ts'

export interface Shown {
  /** As Ollama prints it. */
  readonly name: string
  readonly canonicalModel: string
  readonly cloud: boolean
  /** Equal for questions that have the same answer. */
  readonly key: string
}

// What makes a longer one is a system prompt: nobody asks that twice.
const BODY_BYTES_MAX = 65_536
const MEMBERS = ['verbose', 'system', 'template', 'options'] as const
const WANTED: ReadonlySet<string> = new Set(['model', 'name', ...MEMBERS])
const NOTHING: ReadonlySet<string> = new Set(['null', 'false', '""', '{}'])

const textOf = (body: Uint8Array, found: Field | undefined): string => {
  const value = found?.type === 'string' ? decodeField(body, found) : ''
  return typeof value === 'string' ? value : ''
}

const rawOf = (body: Uint8Array, scan: Scan, name: string): string => {
  const found = field(scan, name)
  const raw = found === undefined ? '' : new TextDecoder().decode(body.subarray(found.start, found.end))
  return NOTHING.has(raw) ? '' : raw
}

/** Null for what Ollama would refuse, or what is asked for once. */
export const readShow = (body: Uint8Array, userAgent: string): Shown | null => {
  if (body.length > BODY_BYTES_MAX) return null
  const scan = scanObject(body, (name) => WANTED.has(name))
  if (scan.kind !== 'object') return null
  const parsed = parseModelName(textOf(body, valueField(scan, 'model')) || textOf(body, valueField(scan, 'name')))
  if (parsed.kind !== 'name') return null
  const canonicalModel = canonicalOf(parsed.name)
  const members = MEMBERS.map((name) => rawOf(body, scan, name))
  // Ollama tells Copilot another name of the model (wire document, 3).
  const forCopilot = userAgent.startsWith('GitHubCopilotChat/')
  const key = JSON.stringify([canonicalModel, parsed.source, parsed.forcedLocal, forCopilot, ...members])
  return { name: displayName(parsed.name), canonicalModel, cloud: parsed.source === 'cloud', key }
}
