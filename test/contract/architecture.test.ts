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

/** What each room may import, types included. */
const mayImport: Record<string, readonly string[]> = {
  domain: [],
  clock: ['domain'],
  loop: ['domain'],
  store: ['domain'],
  ollama: ['domain'],
  observe: ['domain'],
  simulator: ['domain'],
  engine: ['domain', 'loop'],
  parts: ['domain', 'loop', 'engine'],
  webhook: ['domain', 'loop'],
  http: ['domain', 'engine'],
  config: ['domain', 'parts'],
  composition: [...['clock', 'config', 'domain', 'engine', 'http', 'observe', 'ollama', 'parts', 'store', 'webhook']],
  foreman: ['composition', 'config', 'domain', 'engine', 'http'],
  cli: ['clock', 'config', 'domain', 'observe', 'foreman', 'simulator'],
  main: ['cli', 'clock', 'observe'],
}

/** `type` where the import is gone at run time. */
interface Import {
  readonly from: string
  readonly isType: boolean
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(type\s)?[^'"\n]*?(?:\n[^'"]*?)?from\s+'(\.{1,2}\/[^']+)'|import\('(\.{1,2}\/[^']+)'\)/g

/** Relative imports of a file, those of types and those made later included. */
const importsOf = (path: string, text: string): Import[] =>
  [...text.matchAll(IMPORT)]
    .map((match) => ({
      from: relative(src, normalize(join(dirname(path), match[2] ?? match[3] ?? ''))),
      isType: match[1] !== undefined,
    }))
    .filter(({ from }) => !from.startsWith('..'))

const all = files.map(({ path, name, text }) => ({ name, imports: importsOf(path, text) }))

/** A way from a file back to itself, or null. */
const circleFrom = (start: string, graph: ReadonlyMap<string, readonly string[]>): string[] | null => {
  const cameFrom = new Map<string, string>()
  const open = [start]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const next of graph.get(at) ?? []) {
      if (next === start) {
        const way = [start]
        for (let back: string | undefined = at; back !== undefined && back !== start; back = cameFrom.get(back))
          way.unshift(back)
        return [start, ...way]
      }
      if (cameFrom.has(next)) continue
      cameFrom.set(next, at)
      open.push(next)
    }
  }
  return null
}

describe('imports', () => {
  test('no import runs uphill, types included', () => {
    const uphill = all.flatMap(({ name, imports }) => {
      const room = roomOf(name)
      const allowed = mayImport[room]
      if (allowed === undefined) return [`${name}: the room "${room}" has no rule`]
      return imports
        .map(({ from }) => from)
        .filter((other) => roomOf(other) !== room && !allowed.includes(roomOf(other)))
        .map((other) => `${name} imports ${other}`)
    })
    expect(uphill).toEqual([])
  })

  test('no file imports itself by way of others, types included', () => {
    const graph = new Map(all.map(({ name, imports }) => [name, imports.map(({ from }) => from)] as const))
    expect([...graph.keys()].flatMap((name) => circleFrom(name, graph) ?? [])).toEqual([])
  })

  test('a part is known by its line in the list alone, and its work is loaded when it is made', () => {
    const strays = all.flatMap(({ name, imports }) =>
      imports.filter(({ from }) => {
        const part = /^parts\/([^/]+)\//.exec(from)?.[1]
        if (part === undefined || name.startsWith(`parts/${part}/`)) return false
        return name !== 'parts/list.ts' || !from.endsWith('/index.ts')
      }),
    )
    expect(strays).toEqual([])
    const plans = files.filter(({ name }) => /^parts\/[^/]+\/index\.ts$/.test(name))
    expect(plans.length).toBeGreaterThan(0)
    for (const { text } of plans) expect(text).toContain("await import('./part.ts')")
  })

  test('the rules can fail: uphill imports of values and types, imports in several lines, and circles are seen', () => {
    const path = join(src, 'domain', 'x.ts')
    const seen = (text: string) => importsOf(path, text).map(({ from, isType }) => [from, isType])
    expect(seen("import { a } from '../store/queue.ts'\na()")).toEqual([['store/queue.ts', false]])
    expect(seen("import type { A } from '../store/queue.ts'")).toEqual([['store/queue.ts', true]])
    expect(seen("import {\n  a,\n  type B,\n} from '../store/queue.ts'")).toEqual([['store/queue.ts', false]])
    expect(seen("const a = await import('../store/queue.ts')")).toEqual([['store/queue.ts', false]])
    const ring = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['a']],
      ['d', ['a']],
    ])
    expect(circleFrom('a', ring)).toEqual(['a', 'b', 'c', 'a'])
    expect(circleFrom('d', ring)).toBeNull()
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
  [
    'SQL',
    /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|PRAGMA)\s+[a-z_*(?]/,
    (n) => n.startsWith('store/') || /^parts\/[^/]+\/store\.ts$/.test(n),
  ],
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

const OPENS = /(?:=> \{|\)(?:: [^=]*)? \{)$/
const BRANCHES = /^\s*(?:\} )?(?:if|else|for|while|switch|try|catch)\b/

/** Functions of more than `most` lines from the one that opens their body; the formatter makes the indentation tell where each ends. */
const longFunctions = (text: string, most: number): string[] => {
  const lines = text.split('\n')
  return lines.flatMap((line, at) => {
    if (!OPENS.test(line) || BRANCHES.test(line)) return []
    const indent = /^ */.exec(line)?.[0] ?? ''
    const length = lines.slice(at + 1).findIndex((below) => below.startsWith(`${indent}}`)) + 2
    return length > most ? [`${line.trim()} (${length} lines)`] : []
  })
}

describe('size and form', () => {
  test('no file is over 250 lines and the median is at most 130', () => {
    const lines = files.map(({ name, text }) => ({ name, count: text.trimEnd().split('\n').length }))
    expect(lines.filter(({ count }) => count > 250)).toEqual([])
    const sorted = lines.map(({ count }) => count).sort((a, b) => a - b)
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(130)
  })

  test('no function is over 80 lines', () => {
    expect(files.flatMap(({ name, text }) => longFunctions(text, 80).map((what) => `${name}: ${what}`))).toEqual([])
  })

  test('the rule can fail: a long function is seen, however it is written', () => {
    const body = '  x()\n'.repeat(5)
    for (const head of ['const f = () => {', 'export function f(a: A): B {', '  async f(): Promise<void> {']) {
      const indent = /^ */.exec(head)?.[0] ?? ''
      expect(longFunctions(`${head}\n${body}${indent}}\n`, 6).length).toBe(1)
      expect(longFunctions(`${head}\n${body}${indent}}\n`, 7).length).toBe(0)
    }
    expect(longFunctions(`if (a) {\n${body}}\n`, 3)).toEqual([])
  })

  test('every file opens with its purpose', () => {
    const silent = files.filter(({ text }) => !/^(#!.*\n)?\/\*\* \S[\s\S]*?\*\//.test(text))
    expect(silent.map(({ name }) => name)).toEqual([])
  })

  test('no room is called utils, helpers, common, manager or service', () => {
    // The part is called as its setting, FOREMAN_MANAGE, and the specification call it.
    const named = files.filter(({ name }) => !/^parts\/manager\//.test(name) || /manager\.ts$/.test(name))
    const vague = named.filter(({ name }) => /(^|\/|-)(utils?|helpers?|common|manager|service)s?(\.|-|\/)/.test(name))
    expect(vague.map(({ name }) => name)).toEqual([])
  })

  test('runtime dependencies are the known few', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    expect(Object.keys(dependencies).sort()).toEqual(['@elysiajs/swagger', 'elysia', 'prom-client', 'ulid'])
  })
})
