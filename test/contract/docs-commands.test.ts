/** Runs every shell command of the documents and of the help texts: what people are told to type works as it stands there. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommandLine } from '../../src/cli/run.ts'
import { verbs } from '../../src/cli/verbs.ts'
import { createIo } from '../support/command-io.ts'
import { type DocsWorld, startDocsWorld } from '../support/docs-world.ts'
import { figure } from '../support/figures.ts'

const root = join(import.meta.dir, '../..')

/** What cannot run here, and why that is no hole. A line is marked when it contains the text. */
const marked: readonly (readonly [text: string, why: string])[] = [
  ['run demo', 'test/contract/scripts.test.ts runs it'],
  ['run build', 'it makes the executable that runs here'],
  ['run check', 'it is what runs this test'],
  ['--every 1m', 'it goes on until it is stopped; test/cli/watch.test.ts runs it'],
  ['ollama run', "it needs Ollama's own CLI; its requests are in the transcripts"],
]

interface Block {
  readonly place: string
  readonly lines: readonly string[]
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const documents = [
  'README.md',
  ...['docs', 'docs/guide', 'docs/reference'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  ),
]

const fencesOf = (path: string) =>
  [...read(path).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({ language, text }))

/** A setting that stands alone is tried by starting a foreman with it. */
const runnable = (line: string): string =>
  /^FOREMAN_\w+=\S+(\s+#.*)?$/.test(line) ? line.replace(/^(\S+).*/, '$1 foreman serve') : line

const isCommand = (line: string): boolean => line.trim() !== '' && !line.trim().startsWith('#')

const fromDocuments = (): Block[] =>
  documents.flatMap((path) =>
    fencesOf(path)
      .filter(({ language }) => language === 'sh')
      .map(({ text }, i) => ({
        place: `${path}, block ${i + 1}`,
        lines: text.split('\n').filter(isCommand).map(runnable),
      })),
  )

/** The examples of a verb's help are documents too. */
const fromHelp = async (verb: string): Promise<Block> => {
  const io = createIo()
  await runCommandLine([verb, '--help'], io)
  const examples = /^Examples:\n((?: .*\n)+)/m.exec(io.out())?.[1] ?? ''
  return {
    place: `foreman ${verb} --help`,
    lines: examples
      .split('\n')
      .filter(isCommand)
      .map((line) => line.trim()),
  }
}

const blocks = [...fromDocuments(), ...(await Promise.all(verbs.map(({ name }) => fromHelp(name))))].filter(
  ({ lines }) => lines.length > 0,
)
const reasonFor = (line: string) => marked.find(([text]) => line.includes(text))
const hasShell = ['bash', 'curl', 'git', 'jq', 'openssl', 'sqlite3', 'xargs'].every((name) => Bun.which(name) !== null)

describe.skipIf(!hasShell)('the commands of the documents', () => {
  let world: DocsWorld
  beforeAll(async () => {
    world = await startDocsWorld()
  }, 60_000)
  afterAll(() => world.stop())

  test.each(blocks.map((block) => [block.place, block] as const))(
    'run as they stand: %s',
    async (_, { lines }) => {
      const script = lines.filter((line) => !reasonFor(line)).join('\n')
      const { code, out } = await world.run(script)
      expect({ code, script, out: code === 0 ? '' : out }).toEqual({ code: 0, script, out: '' })
    },
    60_000,
  )
})

test('every command is run or marked with a reason, and no reason is left over', () => {
  const all = blocks.flatMap(({ lines }) => lines)
  const skipped = all.filter(reasonFor)
  figure('docs', `${all.length - skipped.length} commands run, ${skipped.length} marked, of ${all.length}`)
  expect(all.length).toBeGreaterThan(60)
  expect(marked.filter(([text]) => !all.some((line) => line.includes(text)))).toEqual([])
})

test('no command hides in a block that is not shell', () => {
  const hidden = documents.flatMap((path) =>
    fencesOf(path)
      .filter(
        ({ language, text }) => language !== 'sh' && /^(\S+=\S+ )*(dist\/)?(foreman|curl|npx|bun|ollama) /m.test(text),
      )
      .map(({ text }) => `${path}: ${text}`),
  )
  expect(hidden).toEqual([])
})

test('npm scripts that the documents name exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const named = blocks
    .flatMap(({ lines }) => lines)
    .flatMap((line) => [...line.matchAll(/\brun (\w+)/g)].map(([, name]) => name ?? ''))
  expect(named.filter((name) => !['qwen3', ...Object.keys(scripts)].includes(name))).toEqual([])
})
