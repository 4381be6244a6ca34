/** What the part's files are given. Types only. */
import type { AlertFormat } from '../../domain/alert/shape.ts'
import type { PartPorts } from '../../engine/part.ts'

export interface AlertSettings {
  readonly alertUrl: string | null
  readonly alertFormat: AlertFormat
  readonly alertToken: string | null
  /** 0 = none. */
  readonly alertQueueAgeMs: number
  readonly heartbeatFile: string | null
  readonly heartbeatUrl: string | null
}

export type AlertPorts = PartPorts<AlertSettings>
