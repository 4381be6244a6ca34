import { describe, expect, test } from 'bun:test'
import { exitCodeMeanings } from '../../src/cli/command.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { verbs } from '../../src/cli/verbs.ts'
import { clientVariables } from '../../src/config/config.ts'
import { coreSettings } from '../../src/config/core-settings.ts'
import { settings } from '../../src/config/settings.ts'
import type { Setting } from '../../src/domain/setting.ts'
import * as parts from '../../src/parts/list.ts'
import { createIo } from '../support/command-io.ts'

const reference = (name: string) => Bun.file(`${import.meta.dir}/../../docs/reference/${name}.md`).text()
const defaultOf = (setting: { fallback: string; fallbackShown?: string }) =>
  setting.fallbackShown ?? (setting.fallback || '-')
const helpOf = async (name: string) => {
  const io = createIo()
  await runCommandLine([name, '--help'], io)
  return io.out()
}

describe('docs/reference/configuration.md', () => {
  test('has one row per setting with its default, meaning and what is allowed', async () => {
    const rows = (await reference('configuration')).split('\n').filter((line) => line.startsWith('| `FOREMAN_'))
    const expected = Object.values(settings).map(({ variable, meaning, allowed, ...setting }) =>
      [variable, defaultOf(setting), meaning, allowed].join(' | '),
    )
    expect(rows.map((row) => row.replace(/^\| | \|$/g, '').replaceAll('`', ''))).toEqual(expected)
  })

  test('names no variable that foreman does not know', async () => {
    const known = new Set([...Object.values(settings).map(({ variable }) => variable), ...clientVariables])
    const examples = ['FOREMAN_TOKN', 'FOREMAN_SERVICE_HOST', 'FOREMAN_PORT', 'FOREMAN_OLLAMA_PORT', 'FOREMAN_']
    const named = (await reference('configuration')).match(/FOREMAN_[A-Z_]+/g) ?? []
    expect([...new Set(named)].filter((name) => !known.has(name) && !examples.includes(name))).toEqual([])
  })
})

test('foreman serve --help prints every setting with its default and meaning', async () => {
  const words = (text: string) => text.replace(/\s+/g, ' ')
  const help = words(await helpOf('serve'))
  for (const { variable, meaning, ...setting } of Object.values(settings)) {
    expect(help).toContain(words(` ${variable} default: ${defaultOf(setting)} ${meaning} `))
  }
})

test.each(['', ...verbs.map(({ name }) => name)])(
  'the help of "%s" fits 80 columns, but for what is typed',
  async (name) => {
    const io = createIo()
    await runCommandLine(name === '' ? [] : [name, '--help'], io)
    const prose = io.out().split(/^Examples:$/m)[0] ?? ''
    // Shapes of JSON are one word each.
    const wide = prose.split('\n').filter((line) => line.length > 80 && !/^ *\S*$/.test(line))
    expect(wide).toEqual([])
  },
)

test('no two rows are for one variable, and no part hides a row of another', () => {
  const rows = [coreSettings, ...Object.values(parts).map((part) => part.settings)].flatMap((one) =>
    Object.entries<Setting<unknown>>(one),
  )
  expect(rows.map(([field]) => field)).toEqual(Object.keys(settings))
  expect(new Set(rows.map(([, { variable }]) => variable)).size).toBe(rows.length)
})

test('a default is itself an allowed value', () => {
  for (const [field, setting] of Object.entries(settings)) {
    if (field !== 'dataDir') expect(setting.parse(setting.fallback).kind).toBe('ok')
  }
})

describe('docs/reference/cli.md', () => {
  test('lists exactly the verbs that exist, as the overview describes them', async () => {
    const rows = [...((await reference('cli')).match(/^\| `[a-z]+` \| .+ \|$/gm) ?? [])]
    expect(rows).toEqual(verbs.map(({ name, summary }) => `| \`${name}\` | ${summary} |`))
  })

  test.each(verbs.map(({ name }) => [name] as const))(
    'has a section for %s that names all its flags and no other',
    async (name) => {
      const text = await reference('cli')
      const section = text.split(/^## /m).find((part) => part.startsWith(`foreman ${name}\n`)) ?? ''
      const flagsIn = (part: string) => [...new Set(part.match(/(?<![a-z-])--[a-z][a-z-]+/g))].sort()
      const help = (await helpOf(name)).split('\nExamples:')[0] ?? ''
      expect(flagsIn(section.replace(/```[\s\S]*?```/g, ''))).toEqual(flagsIn(help))
    },
  )

  test('and README and configuration.md name every verb', async () => {
    const named = (text: string) => [...text.matchAll(/`([a-z]+)`/g)].map(([, name]) => name ?? '')
    const readme = await Bun.file(`${import.meta.dir}/../../README.md`).text()
    const [, commands = ''] = /\n## Commands\n([\s\S]*?)\n## /.exec(readme) ?? []
    expect(named(commands).sort()).toEqual(verbs.map(({ name }) => name).sort())
    const [, clients = ''] =
      /commands that talk to a running foreman \((.*?)\)/.exec(await reference('configuration')) ?? []
    const local = ['serve', 'simulate', 'watch', 'version']
    expect(named(clients)).toEqual(verbs.map(({ name }) => name).filter((name) => !local.includes(name)))
  })

  test('lists the exit codes', async () => {
    const text = await reference('cli')
    for (const [code, meaning] of exitCodeMeanings) expect(text).toContain(`| ${code} | ${meaning} |`)
  })
})
