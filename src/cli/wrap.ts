/** Help texts at the width of the narrowest terminal people still use; commands to be copied are never broken. */

export const COLUMNS = 80

/** Where the text of a line goes on: under the meaning of a flag or variable, else under the line's own first word. */
const hangOf = (line: string): string => {
  const [flag] = /^ +(?:-{1,2}[a-z]|[A-Z]{3}).*? {2,}(?=\S)/.exec(line) ?? []
  const [indent] = /^ */.exec(line) ?? ['']
  return ' '.repeat(flag?.length ?? indent?.length ?? 0)
}

const wrapLine = (line: string): string => {
  const hang = hangOf(line)
  const lines: string[] = []
  let rest = line
  while (rest.length > COLUMNS) {
    const at = rest.lastIndexOf(' ', COLUMNS)
    // A word that is longer than a line stays whole.
    if (at <= hang.length) break
    lines.push(rest.slice(0, at).trimEnd())
    rest = hang + rest.slice(at + 1)
  }
  return [...lines, rest].join('\n')
}

/** The same text with no line over 80 columns, but for what stands under "Examples:" and is typed. */
export const wrapHelp = (text: string): string => {
  let isTyped = false
  return text
    .split('\n')
    .map((line) => {
      if (line === '') isTyped = false
      if (/^(Examples|.*Start here|Images need).*:$/.test(line)) isTyped = true
      return isTyped ? line : wrapLine(line)
    })
    .join('\n')
}
