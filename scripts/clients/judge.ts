/** What the two answers of one client to one case mean; it must never call a silent success a success. */

/** One line of a client program. */
export interface Told {
  readonly client: string
  readonly version: string
  readonly case: string
  readonly result: unknown
}

export interface Verdict {
  readonly ok: boolean
  /** One sentence where something is to be said. */
  readonly why: string
}

interface Raised {
  readonly raised: string
  readonly status: number | null
  readonly message: string
}

/** What a client does not do in front of Ollama either. */
const limits: Readonly<Record<string, RegExp>> = {
  '@langchain/ollama (npm)': / abort-(midway|queued)$/,
  'ai with ai-sdk-ollama (npm)': / abort-(midway|queued)$/,
  'litellm (PyPI)': / abort-midway$/,
}

const isRaised = (result: unknown): result is Raised =>
  typeof result === 'object' && result !== null && 'raised' in result && typeof result.raised === 'string'

const inWords = (result: unknown): string => JSON.stringify(result)?.slice(0, 600) ?? 'nothing'

/** A case in which only an error is right, whatever the client gets from Ollama itself. */
const mustRaise = (name: string): boolean => /(^| )(fails-|target-away)/.test(name)

/** A case in which only an answer is right: Ollama itself gives no sign of life, and a client with a limit leaves it. */
const mustAnswer = (name: string): boolean => name.endsWith('wait-impatient')

/** What a case is to be the same as, directly. */
export const standardFor = (name: string): string => name.replace(/wait-impatient$/, 'wait-in-queue')

/** A case whose result says yes or no: two that are the same in being wrong are not right. */
const saysYesOrNo = (name: string): boolean => /(^| )(abort-|wait-|ps$)/.test(name)

const saysNo = (result: unknown): boolean =>
  result === false || (typeof result === 'object' && result !== null && Object.values(result).includes(false))

/** Judges one case by what the client got from Ollama itself (`standardFor` it) and what it got through foreman. */
export const judge = (direct: Told, through: Told): Verdict => {
  const { case: name, client, result } = through
  if (mustRaise(name)) {
    if (!isRaised(result)) return { ok: false, why: `silent success: ${inWords(result)}` }
    return { ok: true, why: isRaised(direct.result) ? '' : 'raises, where Ollama itself ends silently' }
  }
  if (!Bun.deepEquals(direct.result, result))
    return { ok: false, why: `direct ${inWords(direct.result)} | through ${inWords(result)}` }
  if (!saysYesOrNo(name) || (!isRaised(result) && !saysNo(result)))
    return { ok: true, why: mustAnswer(name) ? 'answered, where Ollama itself lets it wait past its limit' : '' }
  if (limits[client]?.test(name)) return { ok: true, why: 'does not end its request, directly neither' }
  return { ok: false, why: `the same on both sides and wrong: ${inWords(result)}` }
}
