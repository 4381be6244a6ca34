/** The shapes between a handler, the generation and the way an API says it; it must never hold behaviour. */
import type { Header } from './framing.ts'
import type { InstalledModel } from './model.ts'
import type { Bag } from './request-body.ts'
import type { RunnerOptions } from './runner-options.ts'
import type { Piece } from './script.ts'

/** A tool call the model makes when its script says so. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: Bag
  /** The prompt speaks of what the tool does. */
  readonly isMeant: boolean
}

/** What a handler made of its request. */
export interface Task {
  readonly model: InstalledModel
  readonly options: RunnerOptions
  readonly keepAliveMs: number | undefined
  readonly prompt: string
  /** What the same person said before. */
  readonly before: string
  readonly thinks: boolean
  readonly tool: ToolCall | null
  /** `"json"`, a JSON schema, or nothing. */
  readonly format: unknown
  /** What a tool answered just before; null when none did. */
  readonly toolResult: string | null
  readonly numPredict: number
  readonly streaming: boolean
  /** Only the runner is wanted. */
  readonly loadOnly: boolean
  readonly debugRender: boolean
  /** A mistake that Ollama notices only once the model is loaded; a 500. */
  readonly lateError: string | null
}

/** Nanoseconds and counts, as Ollama reports them. */
export interface Metrics {
  readonly total_duration: number
  readonly load_duration: number
  readonly prompt_eval_count: number
  readonly prompt_eval_duration: number
  readonly eval_count: number
  readonly eval_duration: number
}

/** What was said in the end. `reason` is null when the runner closed early. */
export interface Result {
  readonly pieces: readonly Piece[]
  readonly text: string
  readonly thinking: string
  readonly tool: ToolCall | null
  readonly reason: 'stop' | 'length' | null
  readonly metrics: Metrics
}

/** How one API says it. Each string is one HTTP chunk, or the whole body. */
export interface Voice {
  readonly streamHeaders: readonly Header[]
  readonly wholeHeaders: readonly Header[]
  piece(piece: Piece): readonly string[]
  finish(result: Result): readonly string[]
  breakOff(text: string): readonly string[]
  whole(result: Result): string
  loaded(): string
  debug(): string
}
