/** The one list of optional parts: a part is in foreman, its settings, its help and its documents' test by its line here. */
export { alerts } from './alerts/index.ts'
export { embedder } from './embedder/index.ts'
export { fallback } from './fallback/index.ts'
export { manager } from './manager/index.ts'
export { models } from './models/index.ts'
export { residency } from './residency/index.ts'
export { systemd } from './systemd/index.ts'
export { wake } from './wake/index.ts'
