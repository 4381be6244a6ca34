/** Where the program and the app of Ollama are looked for, and what is to be done with what is found, by platform; it must never look itself. */
import type { Holder } from './family.ts'
import { holderWords } from './family.ts'

type Variables = Readonly<Record<string, string | undefined>>

const joined = (separator: '/' | '\\', ...parts: readonly string[]) => parts.join(separator)

/** Where the program may be, the likeliest first; what is given is the only place. */
export const programPlaces = (platform: string, env: Variables, given: string | null): readonly string[] => {
  if (given !== null) return [given]
  const isWindows = platform === 'win32'
  const name = isWindows ? 'ollama.exe' : 'ollama'
  const separator = isWindows ? '\\' : '/'
  const path = (env['PATH'] ?? env['Path'] ?? '').split(isWindows ? ';' : ':').filter((folder) => folder !== '')
  const onPath = path.map((folder) => joined(separator, folder, name))
  const usual: Readonly<Record<string, readonly string[]>> = {
    linux: ['/usr/local/bin/ollama', '/usr/bin/ollama', '/opt/ollama/bin/ollama'],
    darwin: ['/Applications/Ollama.app/Contents/Resources/ollama', '/opt/homebrew/bin/ollama', '/usr/local/bin/ollama'],
    win32: [`${env['LOCALAPPDATA'] ?? ''}\\Programs\\Ollama\\ollama.exe`],
  }
  return [...new Set([...onPath, ...(usual[platform] ?? [])])]
}

/** Where the app may be, which has a supervisor of its own. */
export const appPlaces = (platform: string, env: Variables): readonly string[] => {
  if (platform === 'darwin') return ['/Applications/Ollama.app', `${env['HOME'] ?? ''}/Applications/Ollama.app`]
  return platform === 'win32' ? [`${env['LOCALAPPDATA'] ?? ''}\\Programs\\Ollama\\ollama app.exe`] : []
}

/** What `own` finds. */
export interface Situation {
  readonly platform: string
  readonly port: number
  readonly isLoopback: boolean
  /** An Ollama answers at the address. */
  readonly isAnswering: boolean
  /** Who has the port, where the system says so. */
  readonly holder: Holder
  readonly app: string | null
  readonly program: string | null
  /** What was named and is not there. */
  readonly given: string | null
}

export type Plan =
  /** Ours from before, or a child that is to be started. */
  | { readonly kind: 'child'; readonly program: string | null }
  /** Started by a command, and from then on somebody else's. */
  | { readonly kind: 'app'; readonly start: string | null; readonly restart: string | null }
  /** Not ours to start or to end. */
  | { readonly kind: 'conflict'; readonly words: string }
  | { readonly kind: 'missing'; readonly words: string }

const INSTALL: Readonly<Record<string, string>> = {
  linux: 'install it with `curl -fsSL https://ollama.com/install.sh | sh`',
  darwin: 'install the app from https://ollama.com/download',
  win32: 'install the app from https://ollama.com/download',
}

const missing = ({ platform, given }: Situation): Plan => {
  const where = given === null ? 'no program `ollama` was found on this machine' : `there is no program at ${given}`
  const how = INSTALL[platform] ?? 'install it from https://ollama.com/download'
  return { kind: 'missing', words: `${where}: ${how}, or name it in FOREMAN_OLLAMA_BIN` }
}

/** The app's own supervisor restarts its server and ends others: on its platforms it is opened, and left to itself. */
const withApp = ({ platform, isAnswering }: Situation, app: string): Plan => {
  if (platform === 'win32') return { kind: 'app', start: isAnswering ? null : `start "" "${app}"`, restart: null }
  const open = 'open -a Ollama'
  const restart = `osascript -e 'quit app "Ollama"'; sleep 3; ${open}`
  return { kind: 'app', start: isAnswering ? null : open, restart }
}

/** The decision, whole and in one place. */
export const planFor = (found: Situation): Plan => {
  const { platform, port, isLoopback, isAnswering, holder, app, program } = found
  if (!isLoopback)
    return {
      kind: 'conflict',
      words:
        'FOREMAN_MANAGE=own starts Ollama on this machine, but FOREMAN_OLLAMA_URL is another one: set FOREMAN_MANAGE=adopt',
    }
  if (holder.kind === 'ours') return { kind: 'child', program }
  if (app !== null) return withApp(found, app)
  if (holder.kind === 'other') return { kind: 'conflict', words: holderWords(holder, port) }
  // Without /proc nobody says whose it is.
  if (isAnswering)
    return {
      kind: 'conflict',
      words: `an Ollama that foreman did not start answers on port ${port}: set FOREMAN_MANAGE=adopt`,
    }
  if (program === null) return missing(found)
  if (platform === 'linux') return { kind: 'child', program }
  return {
    kind: 'missing',
    words: `on this platform foreman starts Ollama by its app: ${INSTALL[platform] ?? 'install it'}, or start ${program} yourself and set FOREMAN_MANAGE=adopt`,
  }
}
