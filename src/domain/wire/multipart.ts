/** Finds one text field in a multipart/form-data body (the model of a transcription); it must never copy the file in it. */

const latin1 = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes)
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const HEAD_MAX_BYTES = 4_096

// A model's name is short; a longer value is none.
const VALUE_MAX_BYTES = 4_096
// So many bytes, or so many looks at one, and others have their turn: a few milliseconds either way.
const PAUSE_EVERY_BYTES = 8_388_608
const PAUSE_EVERY_LOOKS = 10_000
// Go's own bound on the parts of a form.
const PARTS_MAX = 1_000

/** Yields at every pause and returns an offset, or -1. */
type Steps<T> = Generator<undefined, T>

interface Meter {
  pauseAt: number
  looks: number
}

const isDue = (meter: Meter, at: number): boolean => {
  meter.looks += 1
  if (at < meter.pauseAt && meter.looks < PAUSE_EVERY_LOOKS) return false
  meter.pauseAt = at + PAUSE_EVERY_BYTES
  meter.looks = 0
  return true
}

function* indexOfBytes(body: Uint8Array, wanted: Uint8Array, from: number, meter: Meter): Steps<number> {
  const first = wanted[0]
  if (first === undefined) return -1
  for (let at = body.indexOf(first, from); at >= 0; at = body.indexOf(first, at + 1)) {
    let same = 1
    while (same < wanted.length && body[at + same] === wanted[same]) same++
    if (same === wanted.length) return at
    if (isDue(meter, at)) yield
  }
  return -1
}

/** Go's words for what is no form at all. */
export const NO_FORM = "failed to parse multipart form: request Content-Type isn't multipart/form-data"

export const isForm = (contentType: string): boolean => /^\s*multipart\/form-data\s*(;|$)/i.test(contentType)

const boundaryOf = (contentType: string): string | null => {
  const match = /^multipart\/form-data\b.*?;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  return match?.[1] ?? match?.[2] ?? null
}

function* fieldSteps(body: Uint8Array, contentType: string, name: string): Steps<string | null> {
  const boundary = boundaryOf(contentType)
  if (boundary === null) return null
  const meter: Meter = { pauseAt: PAUSE_EVERY_BYTES, looks: 0 }
  const delimiter = encode(`--${boundary}`)
  const isNamed = new RegExp(`[;\\s]name="?${name}"?(?:;|\\s|$)`, 'i')
  let value: string | null = null
  let part = yield* indexOfBytes(body, delimiter, 0, meter)
  for (let parts = 0; part >= 0; parts++) {
    if (parts > PARTS_MAX) return null
    const start = part + delimiter.length
    const next = yield* indexOfBytes(body, delimiter, start, meter)
    if (next < 0) break
    const head = latin1(body.subarray(start, Math.min(next, start + HEAD_MAX_BYTES)))
    const headEnd = head.indexOf('\r\n\r\n')
    const disposition = /^content-disposition:.*$/im.exec(head.slice(0, Math.max(headEnd, 0)))?.[0] ?? ''
    if (headEnd >= 0 && isNamed.test(disposition)) {
      const bytes = body.subarray(start + headEnd + 4, next - 2)
      value = bytes.length > VALUE_MAX_BYTES ? null : new TextDecoder().decode(bytes)
    }
    part = next
  }
  return value
}

/** The value of the last field called `name`, or null when there is none. */
export const multipartField = (body: Uint8Array, contentType: string, name: string): string | null => {
  const steps = fieldSteps(body, contentType, name)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** The same for a form of any size: `turn` lets others have theirs. */
export const multipartFieldInTurns = async (
  body: Uint8Array,
  contentType: string,
  name: string,
  turn: () => Promise<void>,
): Promise<string | null> => {
  const steps = fieldSteps(body, contentType, name)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    await turn()
  }
}
