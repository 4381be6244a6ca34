/** Keeps the documents true: every failure code, route, metric and link that they name is the one in the code. */
import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { failures } from '../../src/domain/job/failure.ts'
import { transitions } from '../../src/domain/job/job.ts'
import { ollamaRoutes } from '../../src/domain/wire/routes.ts'

const root = join(import.meta.dir, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const between = (text: string, name: string): string =>
  text.slice(text.indexOf(`<!-- ${name}:begin -->`), text.indexOf(`<!-- ${name}:end -->`))

const documents = [
  'README.md',
  'progress.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

describe('documents', () => {
  test('the failure table is the one in the code', () => {
    const rows = [
      ...between(read('docs/reference/states.md'), 'failures').matchAll(/^\| `(\w+)` \| (\d+) \| (.*) \|$/gm),
    ]
    const documented = rows.map(([, code, status, sentence]) => [code, Number(status), sentence])
    expect(documented.sort()).toEqual(
      Object.entries(failures)
        .map(([code, f]) => [code, f.status, f.sentence])
        .sort(),
    )
  })

  test('the route classes are the ones in the code', () => {
    const rows = [
      ...between(read('docs/reference/http.md'), 'routes').matchAll(/^\| (queued|bypass|control) \| (.*) \|$/gm),
    ]
    const documented = rows.flatMap(([, cls, paths]) =>
      [...(paths ?? '').matchAll(/`([^`]+)`/g)].map(([, path]) => `${cls} ${path}`),
    )
    const wanted = new Set(ollamaRoutes.map((route) => `${route.class} ${route.path}`))
    expect(documented.sort()).toEqual([...wanted].sort())
  })

  test('every state has its place in the states document', () => {
    const text = read('docs/reference/states.md')
    expect(Object.keys(transitions).filter((state) => !text.includes(state))).toEqual([])
  })

  test('every relative link leads somewhere', () => {
    const dead = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:)([^)#]+)(#[^)]*)?\)/g)]
        .map(([, target]) => target ?? '')
        .filter((target) => !existsSync(join(root, dirname(path), target)))
        .map((target) => `${path} -> ${target}`),
    )
    expect(dead).toEqual([])
  })

  test('the README stays under 120 lines and every decision under 60', () => {
    expect(read('README.md').split('\n').length).toBeLessThanOrEqual(120)
    const long = documents.filter((path) => path.startsWith('docs/adr/') && read(path).split('\n').length > 60)
    expect(long).toEqual([])
  })

  test('every decision that the code cites exists', () => {
    const numbers = readdirSync(join(root, 'docs', 'adr')).map((name) => name.slice(0, 4))
    const cited = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|sql)$/.test(name))
      .flatMap((name) =>
        [...readFileSync(join(root, 'src', name), 'utf8').matchAll(/ADR (\d{4})/g)].map(([, n]) => n ?? ''),
      )
    expect(cited.length).toBeGreaterThan(0)
    expect(cited.filter((number) => !numbers.includes(number))).toEqual([])
  })
})
