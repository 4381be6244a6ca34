/** Keeps the house in order: who may import whom, where effects live, how large a room may get. */
import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

const root = join(import.meta.dir, '..', '..')
const src = join(root, 'src')

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name))

const files = filesBelow(src).map((path) => ({ path, name: relative(src, path), text: readFileSync(path, 'utf8') }))

/** The room a file is in: its folder, or its own name at the top. */
const roomOf = (name: string): string => (name.includes('/') ? (name.split('/')[0] ?? name) : name.replace(/\.ts$/, ''))

/** What each room may import at run time; types alone may come from anywhere below. */
const mayImport: Record<string, readonly string[]> = {
  domain: [],
  clock: [],
  store: ['domain'],
  loop: ['domain'],
  ollama: ['domain'],
  observe: ['domain'],
  simulator: ['domain'],
  engine: ['domain', 'loop'],
  config: ['domain', 'parts'],
  parts: ['domain', 'loop', 'engine'],
  http: ['domain', 'engine', 'ollama'],
  webhook: ['domain', 'loop'],
  foreman: ['clock', 'domain', 'store', 'ollama', 'observe', 'engine', 'http', 'webhook', 'parts'],
  cli: ['clock', 'config', 'domain', 'observe', 'foreman', 'simulator'],
  main: ['cli', 'clock', 'observe'],
}

const transpiler = new Bun.Transpiler({ loader: 'ts' })

/** Relative imports that are there at run time. */
const importsOf = (path: string, text: string): string[] =>
  transpiler
    .scanImports(text)
    .map(({ path: imported }) => imported)
    .filter((imported) => imported.startsWith('.'))
    .map((imported) => relative(src, normalize(join(dirname(path), imported))))
    .filter((name) => !name.startsWith('..'))

describe('imports', () => {
  test('no import runs uphill', () => {
    const uphill = files.flatMap(({ path, name, text }) => {
      const room = roomOf(name)
      const allowed = mayImport[room]
      if (allowed === undefined) return [`${name}: the room "${room}" has no rule`]
      return importsOf(path, text)
        .map(roomOf)
        .filter((other) => other !== room && !allowed.includes(other))
        .map((other) => `${name} imports ${other}`)
    })
    expect(uphill).toEqual([])
  })

  test('the table of settings, which every command loads, brings nothing else of a part along', () => {
    const isRows = (name: string) => /^parts\/([^/]+\/)?settings\.ts$/.test(name)
    const strays = files
      .filter(({ name }) => isRows(name) || roomOf(name) === 'config')
      .flatMap(({ path, name, text }) => importsOf(path, text).map((other) => [name, other] as const))
      .filter(([, other]) => roomOf(other) === 'parts' && !isRows(other))
    expect(strays).toEqual([])
  })

  test('the rule can fail: an uphill import in a domain file is seen', () => {
    expect(importsOf(join(src, 'domain', 'x.ts'), "import { a } from '../store/queue.ts'\na()")).toEqual([
      'store/queue.ts',
    ])
    expect(importsOf(join(src, 'domain', 'x.ts'), "import type { A } from '../store/queue.ts'")).toEqual([])
  })
})

/** Where each kind of effect lives; the pattern appears nowhere else. */
const owners: readonly (readonly [string, RegExp, (name: string) => boolean])[] = [
  [
    'wall clock',
    /\bDate\.now\(|new Date\(\)/,
    (n) => n === 'clock.ts' || n.startsWith('simulator/') || n.startsWith('cli/'),
  ],
  ['dice', /\bMath\.random\(/, (n) => n === 'clock.ts' || n.startsWith('simulator/')],
  [
    'timers',
    /\bset(Timeout|Interval)\(/,
    (n) => n === 'clock.ts' || n.startsWith('simulator/') || n.startsWith('cli/'),
  ],
  ['environment', /process\.env|Bun\.env/, (n) => n === 'main.ts'],
  ['exit', /process\.exit\(/, (n) => n === 'main.ts'],
  ['SQL', /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|PRAGMA)\s+[a-z_*(?]/, (n) => n.startsWith('store/')],
  ['sqlite', /'bun:sqlite'/, (n) => n.startsWith('store/')],
  ['sockets to the target', /\bBun\.connect\b/, (n) => n.startsWith('ollama/')],
  ['fetch', /(?<![\w.])fetch\(/, (n) => n === 'main.ts' || n.startsWith('cli/')],
  ['console', /\bconsole\./, () => false],
]

const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')

describe('effects', () => {
  for (const [what, pattern, isOwner] of owners) {
    test(`${what} lives in one place`, () => {
      const strays = files.filter(({ name, text }) => !isOwner(name) && pattern.test(withoutComments(text)))
      expect(strays.map(({ name }) => name)).toEqual([])
    })
  }

  test('the domain knows neither Bun nor Node', () => {
    const strays = files.filter(({ name, text }) => roomOf(name) === 'domain' && /\bBun\.|from '(bun|node):/.test(text))
    expect(strays.map(({ name }) => name)).toEqual([])
  })
})

describe('size and form', () => {
  test('no file is over 250 lines and the median is at most 130', () => {
    const lines = files.map(({ name, text }) => ({ name, count: text.trimEnd().split('\n').length }))
    expect(lines.filter(({ count }) => count > 250)).toEqual([])
    const sorted = lines.map(({ count }) => count).sort((a, b) => a - b)
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(130)
  })

  test('every file opens with its purpose', () => {
    const silent = files.filter(({ text }) => !/^(#!.*\n)?\/\*\* \S[\s\S]*?\*\//.test(text))
    expect(silent.map(({ name }) => name)).toEqual([])
  })

  test('no room is called utils, helpers, common, manager or service', () => {
    const vague = files.filter(({ name }) => /(^|\/|-)(utils?|helpers?|common|manager|service)s?(\.|-|\/)/.test(name))
    expect(vague.map(({ name }) => name)).toEqual([])
  })

  test('runtime dependencies are the known few', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    expect(Object.keys(dependencies).sort()).toEqual(['@elysiajs/swagger', 'elysia', 'prom-client', 'ulid'])
  })
})
