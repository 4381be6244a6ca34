/** Careful reading of a server's JSON: what is missing or of another type is undefined; it must never throw. */

/** The named field of a JSON object, else undefined. */
export const fieldOf = (value: unknown, ...path: readonly string[]): unknown => {
  let current = value
  for (const name of path) {
    if (typeof current !== 'object' || current === null) return undefined
    current = Object.entries(current).find(([key]) => key === name)?.[1]
  }
  return current
}

export const textOf = (value: unknown, ...path: readonly string[]): string | undefined => {
  const found = fieldOf(value, ...path)
  return typeof found === 'string' ? found : undefined
}

export const numberOf = (value: unknown, ...path: readonly string[]): number | undefined => {
  const found = fieldOf(value, ...path)
  return typeof found === 'number' ? found : undefined
}

export const booleanOf = (value: unknown, ...path: readonly string[]): boolean | undefined => {
  const found = fieldOf(value, ...path)
  return typeof found === 'boolean' ? found : undefined
}

export const listOf = (value: unknown, ...path: readonly string[]): readonly unknown[] => {
  const found = fieldOf(value, ...path)
  return Array.isArray(found) ? found : []
}

/** The value of a JSON text, undefined when it is none. */
export const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
