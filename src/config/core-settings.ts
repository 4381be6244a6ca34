/** The core's rows of the table of settings, each with the only default it has anywhere. */
import { accessSettings } from './access-settings.ts'
import { limitSettings } from './limit-settings.ts'
import { workSettings } from './work-settings.ts'

export const coreSettings = { ...accessSettings, ...workSettings, ...limitSettings }
