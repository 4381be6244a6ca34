/** The octets that frame chunks; nothing here may look at more than one of them. */

export const CR = 13
export const LF = 10
export const SEMICOLON = 59

/** What a hexadecimal digit counts; -1 for anything else, the end of the input too. */
export const hexDigit = (byte: number | undefined): number => {
  if (byte === undefined) return -1
  if (byte >= 48 && byte <= 57) return byte - 48
  const letter = byte | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}
