/** Reads the file that declares the environment of a managed Ollama: NAME=value lines as systemd and Docker know them; it must never guess at a line it cannot read. */

export type EnvFile =
  | { readonly kind: 'read'; readonly variables: Readonly<Record<string, string>> }
  | { readonly kind: 'bad'; readonly message: string }

const LINE = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/
const QUOTED = /^(["'])(.*)\1$/

/** `path` is for the words alone. */
export const parseEnvFile = (text: string, path: string): EnvFile => {
  const variables: Record<string, string> = {}
  for (const [at, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue
    const [, name, value = ''] = LINE.exec(line) ?? []
    if (name === undefined)
      return { kind: 'bad', message: `line ${at + 1} of ${path} is not NAME=value: Ollama is not started with it` }
    const bare = value.trim()
    variables[name] = QUOTED.exec(bare)?.[2] ?? bare
  }
  return { kind: 'read', variables }
}

// What systemd says to foreman is not for its children.
const OWN = /^(FOREMAN_|WATCHDOG_|LISTEN_|NOTIFY_SOCKET$)/

/** What the child gets: that of this process without its own settings, what the file declares, and where to listen, which nothing overrides. */
export const childEnvironment = (
  own: Readonly<Record<string, string | undefined>>,
  declared: Readonly<Record<string, string>>,
  fixed: Readonly<Record<string, string>>,
): Record<string, string> => {
  const kept = Object.entries(own).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !OWN.test(entry[0]),
  )
  return { ...Object.fromEntries(kept), ...declared, ...fixed }
}
