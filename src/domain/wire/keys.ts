/** How Go compares the keys of a JSON object with the names it looks for. */

/** A key as Go compares it: any case of ASCII, and the two other letters that fold to it. */
export const foldKey = (key: string): string =>
  // Nearly every key is its own fold.
  /[A-Z\u017f\u212a]/.test(key)
    ? key
        .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
        .replace(/\u017f/g, 's')
        .replace(/\u212a/g, 'k')
    : key
