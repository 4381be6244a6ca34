/** What a model can be asked for, read from a request: keep-alive, tools, capabilities, the prompt; it must never answer. */
import { parseCallerKeepAlive } from '../domain/wire/keep-alive.ts'
import type { Capability, InstalledModel } from './model.ts'
import { type Bag, bag, bags, contentText, text } from './request-body.ts'
import { sampleOf } from './schema-sample.ts'
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

/** A tool as all APIs describe it; the Responses and Messages APIs do without the `function` level. */
const described = (tool: Bag): Bag => (tool.function === undefined ? tool : bag(tool.function))

// Words in the names of tools that say nothing about what they are for.
const empty = new Set(['get', 'set', 'the', 'current', 'find', 'search', 'call', 'use', 'list', 'make', 'do', 'for'])

/** Whether the prompt names the tool, or speaks of what its name says. */
const isMeantBy = (prompt: string, name: string): boolean => {
  const said = prompt.toLowerCase()
  if (name === '' || said.includes(name.toLowerCase())) return name !== ''
  const words = name
    .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word.length > 2 && !empty.has(word))
  return words.length > 0 && words.every((word) => said.includes(word))
}

/** The call a model makes: of the tool that its prompt speaks of, else of the first it was offered. */
export const toolCall = (stage: Stage, model: InstalledModel, tools: unknown, prompt: string): ToolCall | null => {
  const offered = bags(tools).map(described)
  const meant = offered.find(({ name }) => isMeantBy(prompt, text(name)))
  const inWords = stage.settings.speech === 'words'
  const chosen = inWords ? (meant ?? offered[0]) : offered[0]
  if (!chosen) return null
  const { properties } = bag(chosen.parameters ?? chosen.input_schema)
  const argument = (name: string, schema: Bag) => (inWords ? sampleOf(schema, prompt, { name }) : exampleOf(schema))
  const args = Object.entries(bag(properties)).map(([name, schema]) => [name, argument(name, bag(schema))])
  const id = model.spec.nativeTemplate
    ? 'abc123'
    : `call_${stage.pulse
        .random(36 ** 8)
        .toString(36)
        .padStart(8, '0')}`
  return { id, name: text(chosen.name), arguments: Object.fromEntries(args), isMeant: meant !== undefined }
}

/** What a tool answered, when that is the last thing in the conversation of any API; else null. */
export const toolResult = (messages: readonly Bag[]): string | null => {
  const last = messages.at(-1)
  if (!last) return null
  if (text(last.role).toLowerCase() === 'tool') return contentText(last.content)
  if (last.type === 'function_call_output') return text(last.output)
  const block = bags(last.content).find(({ type }) => type === 'tool_result')
  return block ? contentText(block.content) : null
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

// What is remembered of a long conversation.
const BEFORE_MAX = 4_000

/** Everything that the user said before that, the newest last. */
export const saidBefore = (messages: readonly Bag[]): string =>
  messages
    .filter((message) => text(message.role).toLowerCase() === 'user')
    .slice(0, -1)
    .map(({ content }) => contentText(content))
    .join('\n')
    .slice(-BEFORE_MAX)
