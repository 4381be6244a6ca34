/** Command line flags to values, or one sentence and exit code 2; it must never print by itself what it was not asked for. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { nearest } from '../domain/nearest.ts'
import { exitCode, type Io } from './command.ts'
import { wrapHelp } from './wrap.ts'

type Options = NonNullable<ParseArgsConfig['options']>

type Values<T extends Options> = {
  readonly [Name in keyof T]?: T[Name] extends { type: 'boolean' }
    ? boolean
    : T[Name] extends { multiple: true }
      ? readonly string[]
      : string
}

/** Either the flags, or the exit code of a command that is already finished: help was asked for or the flags are wrong. */
export type ReadFlags<T extends Options> =
  | { readonly kind: 'ok'; readonly values: Values<T>; readonly rest: readonly string[] }
  | { readonly kind: 'exit'; readonly code: number }

/** Every command understands these. */
const helpFlag = { help: { type: 'boolean', short: 'h' } } as const satisfies Options

/** Reads the flags of one command; `restMax` is how many words besides flags it takes. */
export const readFlags = <const T extends Options>(
  args: readonly string[],
  options: T,
  { io, help, restMax = 0 }: { io: Io; help: string; restMax?: number },
): ReadFlags<T> => {
  const all = { ...options, ...helpFlag }
  const { tokens } = parseArgs({ args: [...args], options: all, strict: false, allowPositionals: true, tokens: true })
  const values: Record<string, string | boolean | readonly string[]> = {}
  const rest: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') rest.push(token.value)
    if (token.kind !== 'option') continue
    const option: Options[string] | undefined = Object.hasOwn(all, token.name)
      ? all[token.name as keyof typeof all]
      : undefined
    if (!option) return wrong(io, unknownFlag(token.rawName, Object.keys(all)))
    if (option.type === 'boolean' && token.value !== undefined) return wrong(io, `${token.rawName} takes no value`)
    if (option.type === 'string' && !token.value) return wrong(io, `${token.rawName} needs a value`)
    const before = values[token.name]
    if (option.multiple) values[token.name] = [...(Array.isArray(before) ? before : []), token.value ?? '']
    else values[token.name] = token.value ?? true
  }
  if (values['help']) {
    io.stdout.write(wrapHelp(help))
    return { kind: 'exit', code: exitCode.ok }
  }
  if (rest.length > restMax) return wrong(io, `"${rest[restMax]}" is one word too many`)
  return { kind: 'ok', values: values as Values<T>, rest }
}

/** Prints what is wrong with the command line and answers with the exit code for it. */
export const wrong = (io: Io, problem: string): { readonly kind: 'exit'; readonly code: number } => {
  io.stderr.write(`foreman: ${problem} (--help tells more)\n`)
  return { kind: 'exit', code: exitCode.usage }
}

const unknownFlag = (rawName: string, known: readonly string[]) => {
  const name = rawName.replace(/^-+/, '')
  // `--webhook-url` is no typo of `--webhook`, and yet that is what was meant.
  const meant =
    nearest(name, known) ?? known.find((one) => name.includes(one) || (name.length > 2 && one.includes(name)))
  return `there is no flag ${rawName}${meant ? `, did you mean --${meant}?` : ''}`
}
