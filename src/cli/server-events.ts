/** Server-sent events out of text in any pieces, as the HTML standard reads them; it must never keep more than one event. */

/** One event. `id` is the last id that the stream named, '' before the first. */
export interface ServerEvent {
  readonly event: string
  readonly data: string
  readonly id: string
}

/** Feed it text; it calls `onEvent` for each event that is complete. Comments, which keep connections alive, are skipped. */
export const createEventReader = (onEvent: (event: ServerEvent) => void): ((text: string) => void) => {
  let rest = ''
  let id = ''
  let event = ''
  let data: string[] = []
  const field = (line: string) => {
    const colon = line.indexOf(':')
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'id' && !value.includes('\0')) id = value
    if (name === 'event') event = value
    if (name === 'data') data.push(value)
  }
  const dispatch = () => {
    if (data.length > 0) onEvent({ event: event || 'message', data: data.join('\n'), id })
    event = ''
    data = []
  }
  return (text) => {
    rest += text
    // A \r at the very end may be half of a \r\n.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') dispatch()
      else field(line)
    }
  }
}
