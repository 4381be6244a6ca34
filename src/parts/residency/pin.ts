/** One pinned model: what it is loaded with, and whether it is there as it should be; it must never ask. */
import type { ResidentModel } from '../../domain/wire/inventory.ts'
import { canonicalName } from '../../domain/wire/model-name.ts'
import { reloadOf, residencyKey } from '../../domain/wire/residency.ts'

export interface Pin {
  readonly name: string
  readonly canonical: string
  /** Its declared context; null leaves it to the target, and whatever context it has is right. */
  readonly numCtx: number | null
  readonly key: string
  /** The context that the target gave it when it was loaded as declared; null before that. */
  context: number | null
  /** When it was loaded last, by the monotonic clock; null = never. */
  loadedAtMs: number | null
  failures: number
  /** Not tried before this time. */
  notBeforeMs: number
  /** It pushes a pin out that stands before it in the list. */
  isGivenUp: boolean
}

/** As it is told. */
export interface PinTold {
  readonly model: string
  readonly loaded: boolean
  /** Said only where it is not. */
  readonly installed?: false
  readonly given_up?: string
  readonly failures?: number
}

/** All pins in one sentence. */
export const pinsInWords = (pins: readonly PinTold[]): string => {
  const missing = pins.filter(({ loaded }) => !loaded)
  if (missing.length === 0) return 'all are loaded'
  const why = missing.map(({ model, installed, given_up, failures }) => {
    if (installed === false) return `${model} is not installed`
    if (given_up !== undefined) return `${model} is not loaded: ${given_up}`
    return failures === undefined ? `${model} is not loaded` : `${model} is not loaded, ${failures} loads of it failed`
  })
  return why.join('; ')
}

export const createPin = (name: string, numCtx: number | null): Pin => {
  const canonical = canonicalName(name) ?? name
  return {
    name,
    canonical,
    numCtx,
    key: residencyKey(canonical, reloadOf({ num_ctx: numCtx }, undefined)),
    context: null,
    loadedAtMs: null,
    failures: 0,
    notBeforeMs: 0,
    isGivenUp: false,
  }
}

const YEAR_MS = 365 * 86_400_000
// What goes within a minute may be on its way: somebody waits for its room, and a new keep-alive would take that back (wire document, 6.5).
const GOES_SOON_MS = 60_000

/** Whether somebody gave it a keep-alive that will end. */
const willGo = ({ expiresAt }: ResidentModel, nowMs: number): boolean => {
  const leftMs = expiresAt === null ? Number.NaN : Date.parse(expiresAt) - nowMs
  return leftMs > GOES_SOON_MS && leftMs < YEAR_MS
}

/** `loadedKeys`: what foreman knows to be loaded, with its options. */
export const isInPlace = (
  pin: Pin,
  residents: readonly ResidentModel[],
  loadedKeys: readonly string[],
  nowMs: number,
): boolean => {
  const resident = residents.find(({ canonical }) => canonical === pin.canonical)
  if (resident === undefined) return false
  // Its jobs are known to need no load only while foreman knows with what it was loaded.
  if (pin.numCtx !== null && !loadedKeys.includes(pin.key)) return false
  const { contextLength } = resident
  if (pin.numCtx !== null && pin.context !== null && contextLength !== null && contextLength !== pin.context)
    return false
  return !willGo(resident, nowMs)
}
