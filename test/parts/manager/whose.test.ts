/** Whose process is whose, and what is to be done with what is found: tables, and the answers of the system as they were recorded. */
import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { reloadOf, reloadOfKey, residencyKey } from '../../../src/domain/wire/residency.ts'
import { childEnvironment, parseEnvFile } from '../../../src/parts/manager/env-file.ts'
import { familyOf, holderOf } from '../../../src/parts/manager/family.ts'
import { appPlaces, planFor, programPlaces, type Situation } from '../../../src/parts/manager/places.ts'
import {
  createProcesses,
  listeningInodes,
  type Process,
  type Processes,
  parseStat,
} from '../../../src/parts/manager/processes.ts'
import { livingOf, readRecord, writeRecord } from '../../../src/parts/manager/record.ts'

const STAT =
  '4711 (ollama (x) y) S 1 4711 4711 0 -1 4194560 5821 0 12 0 103 57 0 0 20 0 14 0 884422 1843200000 9120 18446744073709551615 1 1 0 0 0 0 0 0 2143420159 0 0 0 17 1 0 0 0 0 0'

describe('what the system says', () => {
  test('a process with brackets in its name is read', () => {
    expect(parseStat(STAT)).toEqual({
      pid: 4711,
      parent: 1,
      group: 4711,
      name: 'ollama (x) y',
      startTicks: 884_422,
      cpuTicks: 160,
    })
  })

  test('what has ended and waits to be asked is no process', () => {
    expect(parseStat(STAT.replace(' S ', ' Z '))).toBeNull()
    expect(parseStat('')).toBeNull()
  })

  test('only who listens is found, on this port, on IPv4 and IPv6', () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1 0000000000000000 100 0 0 10 0
   1: 0100007F:2CAA 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 31338 1 0000000000000000 20 4 30 10 -1
   3: 0105A8C0:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31340 1 0000000000000000 100 0 0 10 0
   2: 00000000000000000000000000000000:2CAA 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 31339 1 0 100 0 0 10 0`
    expect(listeningInodes(table, 11_434)).toEqual(['31337', '31339'])
    expect(listeningInodes(table, 80)).toEqual([])
  })

  test('this very process is found by its port, with its words and its environment', () => {
    const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } })
    const processes = createProcesses()
    expect(processes.listener(listener.port)).toEqual({ pid: process.pid })
    listener.stop(true)
    expect(processes.listener(listener.port)).toBeNull()
    expect(processes.words(process.pid)[0]).toContain('bun')
    expect(processes.of(process.pid)?.pid).toBe(process.pid)
    expect(processes.of(2 ** 22 - 1)).toBeNull()
  })
})

const one = (pid: number, parent = 1, startTicks = 100): Process => ({
  pid,
  parent,
  group: pid,
  name: 'x',
  startTicks,
  cpuTicks: 0,
})

/** Processes by pid, with their words and whether they carry the mark. */
const invented = (
  all: readonly (readonly [Process, string, boolean])[],
  listening: number | null = null,
): Processes => ({
  of: (pid) => all.find(([{ pid: its }]) => its === pid)?.[0] ?? null,
  all: () => all.map(([process]) => process),
  words: (pid) => (all.find(([{ pid: its }]) => its === pid)?.[1] ?? '').split(' '),
  hasVariable: (pid) => all.find(([{ pid: its }]) => its === pid)?.[2] ?? false,
  listener: () => (listening === null ? null : { pid: listening }),
  bootId: () => 'boot',
})

describe('a family', () => {
  const record = { pid: 10, startTicks: 100, bootId: 'boot' }
  const deps = (processes: Processes, its: typeof record | null = record) => ({
    processes,
    mark: 'X=1',
    record: () => its,
  })

  test('is the recorded server, what carries the mark, and nobody else', () => {
    const processes = invented([
      [one(10), 'ollama serve', true],
      [one(11, 10), 'llama-server --port 1', true],
      [one(12, 10), 'ollama serve', true],
      [one(20), 'ollama serve', false],
      [one(21), 'llama-server --port 2', false],
    ])
    const { servers, others } = familyOf(deps(processes))
    expect(servers.map(({ pid }) => pid)).toEqual([10])
    expect(others.map(({ pid }) => pid)).toEqual([11, 12])
  })

  test('a stranger with the recorded pid is not of it, a child without a record is, a runner without a server too', () => {
    expect(familyOf(deps(invented([[one(10, 1, 101), 'sleep 9', false]]))).servers).toEqual([])
    expect(familyOf(deps(invented([[one(10), 'ollama serve', true]]), null)).servers.length).toBe(1)
    expect(familyOf(deps(invented([[one(11), 'llama-server', true]]), null)).others.length).toBe(1)
    expect(
      familyOf({ ...deps(invented([[one(10), 'sleep', false]])), record: () => ({ ...record, bootId: 'before' }) })
        .servers,
    ).toEqual([])
  })

  test('the port belongs to it, to nobody, or to somebody who is named', () => {
    const all = [
      [one(10), 'ollama serve', true],
      [one(20), '/usr/bin/ollama serve', false],
      [one(30), 'proxy run --token sesame', false],
    ] as const
    expect(holderOf(deps(invented(all)), 1)).toEqual({ kind: 'nobody' })
    expect(holderOf(deps(invented(all, 10)), 1)).toMatchObject({ kind: 'ours' })
    expect(holderOf(deps(invented(all, 20)), 1)).toEqual({ kind: 'other', pid: 20, words: '/usr/bin/ollama serve' })
    // Options may hold a secret.
    expect(holderOf(deps(invented(all, 30)), 1)).toEqual({ kind: 'other', pid: 30, words: 'proxy run' })
    expect(holderOf(deps({ ...invented(all), listener: () => ({ pid: null }) }), 1)).toMatchObject({
      kind: 'other',
      pid: null,
    })
  })
})

test('a record survives, and half of one is none', () => {
  const directory = mkdtempSync(join(tmpdir(), 'foreman-record-'))
  try {
    expect(readRecord(directory)).toBeNull()
    writeRecord(directory, { pid: 10, startTicks: 100, bootId: 'boot' })
    expect(readRecord(directory)).toEqual({ pid: 10, startTicks: 100, bootId: 'boot' })
    expect(livingOf(invented([[one(10), '', false]]), readRecord(directory))).not.toBeNull()
    expect(livingOf(invented([[one(10, 1, 101), '', false]]), readRecord(directory))).toBeNull()
    writeFileSync(join(directory, 'ollama.json'), '{"pid":10')
    expect(readRecord(directory)).toBeNull()
  } finally {
    rmSync(directory, { recursive: true })
  }
})

const found = (given: Partial<Situation>): Situation => ({
  platform: 'linux',
  port: 11_434,
  isLoopback: true,
  isAnswering: false,
  holder: { kind: 'nobody' },
  app: null,
  program: '/usr/bin/ollama',
  given: null,
  ...given,
})
const other = { kind: 'other', pid: 20, words: 'ollama serve' } as const

describe('own, by platform', () => {
  test.each([
    ['Linux, a program, a free port', {}, { kind: 'child', program: '/usr/bin/ollama' }],
    ['Linux, ours from before', { holder: { kind: 'ours', server: one(10) } }, { kind: 'child' }],
    [
      'Linux, ours, and the program is gone',
      { holder: { kind: 'ours', server: one(10) }, program: null },
      { kind: 'child' },
    ],
    [
      'macOS, the app, nothing answers',
      { platform: 'darwin', app: '/Applications/Ollama.app' },
      { kind: 'app', start: 'open -a Ollama' },
    ],
    [
      'macOS, the app runs',
      { platform: 'darwin', app: '/Applications/Ollama.app', isAnswering: true },
      { kind: 'app', start: null },
    ],
    [
      'Windows, the app, nothing answers',
      { platform: 'win32', app: 'C:\\o.exe' },
      { kind: 'app', start: 'start "" "C:\\o.exe"', restart: null },
    ],
    [
      'Windows, the app runs',
      { platform: 'win32', app: 'C:\\o.exe', isAnswering: true },
      { kind: 'app', start: null, restart: null },
    ],
  ] as const)('%s', (_, given, plan) => {
    expect(planFor(found(given))).toMatchObject(plan)
  })

  test.each([
    ['another machine', { isLoopback: false }, 'conflict', 'set FOREMAN_MANAGE=adopt'],
    ["the port is somebody else's", { holder: other }, 'conflict', 'port 11434 is taken by process 20 (ollama serve)'],
    ['of another user', { holder: { ...other, pid: null } }, 'conflict', 'a process of another user'],
    [
      'something answers, and nobody says whose',
      { platform: 'darwin', isAnswering: true },
      'conflict',
      'did not start',
    ],
    ['no program on Linux', { program: null }, 'missing', 'curl -fsSL https://ollama.com/install.sh'],
    ['what was named is not there', { program: null, given: '/opt/x' }, 'missing', 'no program at /opt/x'],
    ['nothing on macOS', { platform: 'darwin', program: null }, 'missing', 'ollama.com/download'],
    ['a bare program on macOS', { platform: 'darwin' }, 'missing', 'start /usr/bin/ollama yourself'],
    ['a bare program on Windows', { platform: 'win32' }, 'missing', 'set FOREMAN_MANAGE=adopt'],
  ] as const)('%s', (_, given, kind, words) => {
    const plan = planFor(found(given))
    expect(plan.kind).toBe(kind)
    expect('words' in plan ? plan.words : '').toContain(words)
  })

  test('the program is looked for where people have it; a named one only there', () => {
    expect(programPlaces('linux', { PATH: '/a:/b' }, null)).toEqual([
      '/a/ollama',
      '/b/ollama',
      '/usr/local/bin/ollama',
      '/usr/bin/ollama',
      '/opt/ollama/bin/ollama',
    ])
    expect(programPlaces('darwin', {}, null)[0]).toBe('/Applications/Ollama.app/Contents/Resources/ollama')
    expect(programPlaces('win32', { LOCALAPPDATA: 'C:\\L', Path: 'C:\\a' }, null)).toEqual([
      'C:\\a\\ollama.exe',
      'C:\\L\\Programs\\Ollama\\ollama.exe',
    ])
    expect(programPlaces('linux', { PATH: '/a' }, '/opt/x')).toEqual(['/opt/x'])
    expect(appPlaces('linux', {})).toEqual([])
    expect(appPlaces('darwin', { HOME: '/Users/ada' })[1]).toBe('/Users/ada/Applications/Ollama.app')
    expect(appPlaces('win32', { LOCALAPPDATA: 'C:\\L' })).toEqual(['C:\\L\\Programs\\Ollama\\ollama app.exe'])
  })
})

describe('the declared environment', () => {
  test('is read as systemd and Docker read it', () => {
    const text = '# models\n\nOLLAMA_MODELS=/srv/models\nexport A="b c"\n; x\r\nEMPTY=\nB=\'d=e\'\n'
    expect(parseEnvFile(text, 'f')).toEqual({
      kind: 'read',
      variables: { OLLAMA_MODELS: '/srv/models', A: 'b c', EMPTY: '', B: 'd=e' },
    })
  })

  test('a line that is none is named', () => {
    expect(parseEnvFile('A=1\nnonsense\n', '/etc/o.env')).toEqual({
      kind: 'bad',
      message: 'line 2 of /etc/o.env is not NAME=value: Ollama is not started with it',
    })
  })

  test("foreman's own settings and secrets are not in it, and nothing overrides where to listen", () => {
    const own = {
      PATH: '/bin',
      FOREMAN_TOKEN: 'secret',
      NOTIFY_SOCKET: '/run/x',
      OLLAMA_HOST: 'foreman:8080',
      NONE: undefined,
    }
    expect(childEnvironment(own, { OLLAMA_HOST: 'x', A: '1' }, { OLLAMA_HOST: 'http://127.0.0.1:1' })).toEqual({
      PATH: '/bin',
      A: '1',
      OLLAMA_HOST: 'http://127.0.0.1:1',
    })
  })
})

test('what a key was loaded with can be read back from it', () => {
  const reload = reloadOf({ num_ctx: 8_192, num_gpu: 20, use_mmap: false, temperature: 1 }, true)
  expect(reloadOfKey(residencyKey('registry/m-a:latest', reload))).toEqual(reload)
  expect(reloadOfKey('registry/m-a:latest')).toEqual({ options: {}, shift: undefined })
})
