/** What of an answer has been printed while connections break and attempts start over; it must never print a token twice. */

export interface Transcript {
  /** Everything printed so far. */
  readonly printed: string
  /** A connection, or another attempt at the answer, begins: what comes next is a beginning, or follows a gap. */
  begin(): void
  token(text: string): void
}

/** Prints tokens through `print` as long as they surely continue what is printed; the rest is held back. */
export const createTranscript = (print: (text: string) => void): Transcript => {
  let printed = ''
  let heard = ''
  /** behind: what is heard repeats the beginning. lost: it is something else, so only the whole answer can tell. */
  let step: 'in step' | 'behind' | 'lost' = 'in step'
  const put = (text: string) => {
    printed += text
    if (text !== '') print(text)
  }
  return {
    get printed() {
      return printed
    },
    begin() {
      heard = ''
      step = printed === '' ? 'in step' : 'behind'
    },
    token(text) {
      if (step === 'in step') put(text)
      if (step !== 'behind') return
      heard += text
      const common = Math.min(heard.length, printed.length)
      if (heard.slice(0, common) !== printed.slice(0, common)) step = 'lost'
      else if (heard.length >= printed.length) {
        step = 'in step'
        put(heard.slice(printed.length))
      }
    },
  }
}
