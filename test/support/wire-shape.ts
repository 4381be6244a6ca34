/** Compares two bodies by shape: equal to the byte but for what cannot be the same twice; it must never forgive a missing key. */

// Values that differ from run to run, and what they must look like all the same.
const variable: Record<string, RegExp> = {
  created_at: /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,8}[1-9])?Z|\d{10})$/,
  modified_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,8}[1-9])?(Z|[+-]\d\d:\d\d)$/,
  expires_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,8}[1-9])?(Z|[+-]\d\d:\d\d)$/,
  created: /^\d{10}$/,
  completed_at: /^\d{10}$/,
  total_duration: /^[1-9]\d*$/,
  load_duration: /^[1-9]\d*$/,
  prompt_eval_duration: /^[1-9]\d*$/,
  eval_duration: /^[1-9]\d*$/,
  id: /^(chatcmpl-\d{1,3}|cmpl-\d{1,3}|(resp|msg)_\d{6}|msg_[0-9a-f]{24}|call_[0-9a-z]{8}|abc123)$/,
  item_id: /^msg_\d{6}$/,
  request_id: /^req_[0-9a-f]{24}$/,
}

const prefix = (value: unknown) => String(value).replace(/[-_].*$/, '')

const compareScalar = (key: string, expected: unknown, actual: unknown): string | null => {
  if (expected === actual) return null
  const pattern = variable[key]
  if (pattern && expected !== null) {
    if (typeof expected !== typeof actual || !pattern.test(String(actual)))
      return `${key}: ${String(actual)} is not like ${String(expected)}`
    return key.endsWith('id') && prefix(expected) !== prefix(actual) ? `${key}: other kind of id` : null
  }
  return `${key}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`
}

/** Ollama sorts /api/ps by whole seconds and leaves ties to the order of a Go map, so that list is compared as a set. */
const settled = (value: object): object =>
  Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null && 'expires_at' in item)
    ? value.toSorted((a, b) => (String(a.name) < String(b.name) ? -1 : 1))
    : value

const compareValue = (key: string, expected: unknown, actual: unknown): string | null => {
  if (typeof expected !== 'object' || expected === null) return compareScalar(key, expected, actual)
  if (typeof actual !== 'object' || actual === null || Array.isArray(actual) !== Array.isArray(expected))
    return `${key}: other type`
  const [wanted, got] = [Object.entries(settled(expected)), Object.entries(settled(actual))]
  const keys = (entries: [string, unknown][]) => entries.map(([name]) => name).join(',')
  if (keys(wanted) !== keys(got)) return `${key}: expected keys ${keys(wanted)}, got ${keys(got)}`
  for (const [i, [name, value]] of wanted.entries()) {
    const problem = compareValue(Array.isArray(expected) ? key : name, value, got[i]![1])
    if (problem) return problem
  }
  return null
}

const compareLine = (expected: string, actual: string): string | null => {
  const [wanted, got] = [expected, actual].map((line) => /^(data: )?(\{.*\})$/.exec(line))
  if (!wanted || !got || wanted[1] !== got[1])
    return expected === actual ? null : `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`
  return compareValue('', JSON.parse(wanted[2]!), JSON.parse(got[2]!))
}

/** The first difference that matters, or null. Bodies are compared line by line, JSON lines by shape. */
export const compareBody = (expected: string, actual: string): string | null => {
  const [wanted, got] = [expected.split('\n'), actual.split('\n')]
  if (wanted.length !== got.length) return `expected ${wanted.length} lines, got ${JSON.stringify(actual)}`
  for (const [i, line] of wanted.entries()) {
    const problem = compareLine(line, got[i]!)
    if (problem) return problem
  }
  return null
}

/** Whether a body carries anything that differs from run to run, so that its length may too. */
export const isVariable = (body: string): boolean => Object.keys(variable).some((key) => body.includes(`"${key}":`))
