/** What is wrong with a server, as those who cure it and those who tell of it pass it on. */

/** What is to be cured, from the moment it was noticed. */
export interface Trouble {
  /** One word, for counting. */
  readonly cause: string
  /** What was seen, for a person. */
  readonly evidence: string
  readonly sinceMs: number
}
