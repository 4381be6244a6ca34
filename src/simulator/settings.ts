/** The knobs of time and memory, which may be turned while the simulator runs; it must never hold what happened. */

export interface Settings {
  /** How long a load takes. */
  readonly loadMs: number
  readonly firstTokenMs: number
  /** Of one stream alone; 0: all tokens at once. */
  readonly tokensPerSecond: number
  /** OLLAMA_MAX_LOADED_MODELS. */
  readonly maxLoadedModels: number
  /** OLLAMA_NUM_PARALLEL; counts for runners loaded from now on. Embedders and some families have one slot whatever it says. */
  readonly numParallel: number
  /**
   * Total throughput with 1, 2, 3, … requests of one model side by side, as multiples of `tokensPerSecond`; the last holds beyond.
   * `[1, 1.6, 2.1, 2.5]`: four streams run at 2.5/4 of it each. Null: each of them at full speed.
   */
  readonly curve: readonly number[] | null
  /** OLLAMA_MAX_QUEUE. */
  readonly maxQueue: number
  /** Ollama's own: a request that carries keep_alive takes back an eviction that others wait for (wire document, 6.5). */
  readonly deadlock: boolean
  /** The scheduler learns that a request is over so much later than its client; above 0 a busy machine's races show. */
  readonly lingerMs: number
  /** How much of what would be video memory is: 0 is a GPU that became a CPU. */
  readonly gpuShare: number
  /** What is said where no marker says otherwise: `tok0 tok1 …`, which tests count, or words, JSON and tool calls for people. */
  readonly speech: 'tokens' | 'words'
}

/** Everything at once, as one small card would. */
export const defaultSettings: Settings = {
  loadMs: 0,
  firstTokenMs: 0,
  tokensPerSecond: 0,
  maxLoadedModels: 1,
  numParallel: 1,
  curve: null,
  maxQueue: 512,
  deadlock: true,
  lingerMs: 0,
  gpuShare: 1,
  speech: 'tokens',
}

/** The settings among `options`, with the default of each that is missing. */
export const withDefaults = (options: Partial<Settings>): Settings => {
  const names = Object.keys(defaultSettings) as (keyof Settings)[]
  const entries = names.map((name) => [name, options[name] ?? defaultSettings[name]])
  return Object.fromEntries(entries) as Settings
}

/** Tokens per second of one stream while `running` share the model; 0: all at once. */
export const streamSpeed = ({ tokensPerSecond, curve }: Settings, running: number): number => {
  const total = curve?.[Math.min(running, curve.length) - 1]
  return total === undefined ? tokensPerSecond : (tokensPerSecond * total) / running
}

const isAmount = (value: unknown, least: number): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= least

const isCount = (value: unknown): boolean => isAmount(value, 1) && Number.isInteger(value)

/** Whether a curve can be one: at least one figure, all above zero. */
export const isCurve = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length > 0 && value.length <= 64 && value.every((step) => isAmount(step, 0.01))

const rules: Readonly<Record<keyof Settings, readonly [fits: (value: unknown) => boolean, expected: string]>> = {
  loadMs: [(value) => isAmount(value, 0), 'milliseconds'],
  firstTokenMs: [(value) => isAmount(value, 0), 'milliseconds'],
  tokensPerSecond: [(value) => isAmount(value, 0), 'a number, 0 for all at once'],
  maxLoadedModels: [isCount, 'a whole number from 1'],
  numParallel: [isCount, 'a whole number from 1'],
  curve: [(value) => value === null || isCurve(value), 'a list such as [1,1.6,2.1,2.5], or null'],
  maxQueue: [isCount, 'a whole number from 1'],
  deadlock: [(value) => typeof value === 'boolean', 'true or false'],
  lingerMs: [(value) => isAmount(value, 0), 'milliseconds'],
  gpuShare: [(value) => isAmount(value, 0) && value <= 1, 'a number from 0 to 1'],
  speech: [(value) => value === 'tokens' || value === 'words', 'tokens or words'],
}

/** Reads a change as the control port receives it; the string is one sentence about what is wrong. */
export const readSettings = (value: unknown): Partial<Settings> | string => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'settings are a JSON object'
  for (const [name, given] of Object.entries(value)) {
    if (!Object.hasOwn(rules, name)) return `there is no setting "${name}": they are ${Object.keys(rules).join(', ')}`
    const [fits, expected] = rules[name as keyof Settings]
    if (!fits(given)) return `"${name}" must be ${expected}`
  }
  return value
}
