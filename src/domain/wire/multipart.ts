/** Finds one text field in a multipart/form-data body (the model of a transcription); it must never copy the file in it. */

const latin1 = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes)
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const HEAD_MAX_BYTES = 4_096

const indexOfBytes = (body: Uint8Array, wanted: Uint8Array, from: number): number => {
  const first = wanted[0]
  if (first === undefined) return -1
  for (let at = body.indexOf(first, from); at >= 0; at = body.indexOf(first, at + 1)) {
    let same = 1
    while (same < wanted.length && body[at + same] === wanted[same]) same++
    if (same === wanted.length) return at
  }
  return -1
}

const boundaryOf = (contentType: string): string | null => {
  const match = /^multipart\/form-data\b.*?;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  return match?.[1] ?? match?.[2] ?? null
}

/** The value of the last field called `name`, or null when there is none. */
export const multipartField = (body: Uint8Array, contentType: string, name: string): string | null => {
  const boundary = boundaryOf(contentType)
  if (boundary === null) return null
  const delimiter = encode(`--${boundary}`)
  let value: string | null = null
  let part = indexOfBytes(body, delimiter, 0)
  while (part >= 0) {
    const start = part + delimiter.length
    const next = indexOfBytes(body, delimiter, start)
    if (next < 0) break
    const head = latin1(body.subarray(start, Math.min(next, start + HEAD_MAX_BYTES)))
    const headEnd = head.indexOf('\r\n\r\n')
    const disposition = /^content-disposition:.*$/im.exec(head.slice(0, Math.max(headEnd, 0)))?.[0] ?? ''
    if (headEnd >= 0 && new RegExp(`[;\\s]name="?${name}"?(?:;|\\s|$)`, 'i').test(disposition))
      value = new TextDecoder().decode(body.subarray(start + headEnd + 4, next - 2))
    part = next
  }
  return value
}
