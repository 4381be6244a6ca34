/** The words after `foreman` to one command and its exit code; it must never end the process itself. */
import { nearest } from '../domain/nearest.ts'
import { exitCode, exitCodeMeanings, type Io } from './command.ts'
import { verbs } from './verbs.ts'
import { wrapHelp } from './wrap.ts'

/** What `foreman` alone prints. */
export const overview =
  (): string => `foreman puts a durable queue in front of one Ollama server and looks like that server.

Usage:  foreman VERB [flags]

${verbs.map(({ name, summary }) => `  ${name.padEnd(13)}${summary}`).join('\n')}

\`foreman VERB --help\` tells more, with examples. Start here:
  foreman serve --simulate                try it without a GPU or an Ollama
  OLLAMA_HOST=127.0.0.1:8080 ollama run llama3.2:3b

Client commands use FOREMAN_URL (default http://127.0.0.1:8080, or what FOREMAN_ADDR says) and FOREMAN_TOKEN.
Exit codes: ${exitCodeMeanings.map(([code, meaning]) => `${code} ${meaning}`).join('; ')}.
`

/** Runs one command line. An unknown verb is a usage error with the nearest known one. */
export const runCommandLine = async (argv: readonly string[], io: Io): Promise<number> => {
  const [word, ...args] = argv
  if (word === undefined || word === '--help' || word === '-h') {
    io.stdout.write(wrapHelp(overview()))
    return exitCode.ok
  }
  const name = word === '--version' || word === '-v' ? 'version' : word
  if (name === 'help') return runCommandLine(args[0] === undefined ? [] : [args[0], '--help'], io)
  const verb = verbs.find((candidate) => candidate.name === name)
  if (verb) return (await verb.load()).run(args, io)
  const meant = nearest(name, [...verbs.map((candidate) => candidate.name), 'help'])
  io.stderr.write(
    `foreman: there is no verb "${name}"${meant ? `, did you mean ${meant}?` : ''} (foreman --help lists them)\n`,
  )
  return exitCode.usage
}
