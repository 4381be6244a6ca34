/** What the part's files are given and say. Types only. */
import type { Wanted } from '../../domain/models/wanted.ts'
import type { PartPorts } from '../../engine/part.ts'

export type ModelsPorts = PartPorts<{ readonly ensureModels: readonly Wanted[] }>

/** What is known of one model. */
export interface ModelState {
  state: 'unknown' | 'there' | 'coming' | 'missing' | 'broken'
  /** How far a transfer is, or why the model is missing or broken. */
  words: string | null
}
