/** What a model can be asked for, read from a request: keep-alive, tools, capabilities, the prompt; it must never answer. */
import { parseCallerKeepAlive } from '../domain/wire/keep-alive.ts'
import type { Capability, InstalledModel } from './model.ts'
import { type Bag, bag, bags, text } from './request-body.ts'
import type { Stage } from './stage.ts'
import type { ToolCall } from './voice.ts'

/** Milliseconds of a valid `keep_alive`, Infinity for "for ever"; undefined when the request says nothing. */
export const keepAliveMs = (value: unknown): number | undefined => {
  const read = parseCallerKeepAlive(value)
  if (read.kind === 'forever') return Number.POSITIVE_INFINITY
  return read.kind === 'duration' ? read.ms : undefined
}

const exampleOf = (schema: Bag): unknown => {
  const examples: Record<string, unknown> = { number: 1, integer: 1, boolean: true, array: [], object: {} }
  return examples[text(schema.type)] ?? 'Paris'
}

/** The call a model makes of the first tool it was offered. */
export const toolCall = (stage: Stage, model: InstalledModel, tools: unknown): ToolCall | null => {
  const [first] = bags(tools)
  if (!first) return null
  // The Responses and Messages APIs describe a tool without the `function` level.
  const described = first.function === undefined ? first : bag(first.function)
  const { properties } = bag(described.parameters ?? described.input_schema)
  const args = Object.entries(bag(properties)).map(([name, schema]) => [name, exampleOf(bag(schema))])
  const id = model.spec.nativeTemplate
    ? 'abc123'
    : `call_${stage.pulse
        .random(36 ** 8)
        .toString(36)
        .padStart(8, '0')}`
  return { id, name: text(described.name), arguments: Object.fromEntries(args) }
}

/** `"tiny" does not support chat`, or null when the model can do all that is asked. */
export const capabilityProblem = (
  model: InstalledModel,
  asked: string,
  verb: 'chat' | 'generate',
  needs: readonly Capability[],
): string | null => {
  const lacks = (capability: Capability) => !model.capabilities.includes(capability)
  if (lacks('completion')) return `${JSON.stringify(asked)} does not support ${verb}`
  const [missing] = needs.filter(lacks)
  if (missing === undefined) return null
  return `${missing === 'thinking' ? JSON.stringify(asked) : model.fullName} does not support ${missing}`
}

/** What Ollama says of a `format` it cannot use, once the model is loaded. */
export const formatProblem = (format: unknown): string | null => {
  if (format === undefined || format === null || format === '' || format === 'json' || typeof format === 'object')
    return null
  return `invalid format: ${JSON.stringify(JSON.stringify(format))}; expected "json" or a valid JSON Schema object`
}

/** The text that carries the markers: the last thing a user said, else the last message. */
export const lastUserText = (messages: readonly Bag[], textOf: (message: Bag) => string): string => {
  const last = messages.findLast((message) => text(message.role).toLowerCase() === 'user') ?? messages.at(-1)
  return last ? textOf(last) : ''
}
