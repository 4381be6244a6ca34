import { describe, expect, test } from 'bun:test'
import { type Environment, loadClientConfig } from '../../src/config/config.ts'
import { configOf, problemsOf, warningsOf } from '../support/settings.ts'

describe('a target that is this foreman', () => {
  test.each([
    ['http://127.0.0.1:8080', '127.0.0.1:8080'],
    ['http://localhost:8080', '127.0.0.1:8080'],
    ['http://[::1]:8080', ':8080'],
    ['http://0.0.0.0:8080', '127.0.0.1:8080'],
    ['http://127.0.0.2:8080', '[::]:8080'],
    ['http://NAS.lan:8080/', 'nas.lan:8080'],
    ['http://localhost', ':80'],
    ['https://localhost', ':443'],
    ['http://127.0.0.1:11434', '127.0.0.1:11434'],
  ])('%s is refused when foreman listens on %s', (url, addr) => {
    const [problem] = problemsOf({ FOREMAN_OLLAMA_URL: url, FOREMAN_ADDR: addr, FOREMAN_TOKEN: 't' })
    expect(problem).toContain('FOREMAN_OLLAMA_URL is')
    expect(problem).toContain("this foreman's own address")
  })

  test.each([
    ['http://127.0.0.1:11434', ':8080'],
    ['http://gpu-box:8080', ':8080'],
    ['http://192.168.1.5:8080', '127.0.0.1:8080'],
    ['http://localhost', '127.0.0.1:0'],
  ])('%s is fine when foreman listens on %s', (url, addr) => {
    expect(problemsOf({ FOREMAN_OLLAMA_URL: url, FOREMAN_ADDR: addr })).toEqual([])
  })
})

describe('listening for others', () => {
  test.each([':8080', '192.168.1.5:8080', '[::]:8080', 'nas:8080'])('on %s without a token is warned about', (addr) => {
    expect(warningsOf({ FOREMAN_ADDR: addr })).toEqual([expect.stringContaining('FOREMAN_TOKEN is not set')])
    expect(warningsOf({ FOREMAN_ADDR: addr, FOREMAN_TOKEN: 't' })).toEqual([])
  })

  test.each(['127.0.0.1:8080', 'localhost:8080', '[::1]:8080', '127.1.2.3:8080'])(
    'on %s is not: only this machine gets there',
    (addr) => {
      expect(warningsOf({ FOREMAN_ADDR: addr })).toEqual([])
    },
  )
})

describe('the data directory', () => {
  test.each<[Environment, string]>([
    [{ STATE_DIRECTORY: '/var/lib/foreman', XDG_DATA_HOME: '/x' }, '/var/lib/foreman'],
    [{ STATE_DIRECTORY: '/var/lib/foreman:/var/lib/other' }, '/var/lib/foreman'],
    [{ XDG_DATA_HOME: '/data/' }, '/data/foreman'],
    [{ XDG_DATA_HOME: 'relative' }, '/home/ada/.local/share/foreman'],
    [{ FOREMAN_DATA_DIR: '/mnt/f', STATE_DIRECTORY: '/var/lib/foreman' }, '/mnt/f'],
  ])('follows %j', (env, dataDir) => {
    expect(configOf(env).dataDir).toBe(dataDir)
  })

  test('is asked for when nothing says where it could be', () => {
    expect(problemsOf({ HOME: undefined })).toEqual([expect.stringContaining('FOREMAN_DATA_DIR is not set')])
  })
})

describe('a client command', () => {
  test.each<[Environment, string]>([
    [{}, 'http://127.0.0.1:8080'],
    [{ FOREMAN_ADDR: ':9000' }, 'http://127.0.0.1:9000'],
    [{ FOREMAN_ADDR: '0.0.0.0:9000' }, 'http://127.0.0.1:9000'],
    [{ FOREMAN_ADDR: '[::]:9000' }, 'http://127.0.0.1:9000'],
    [{ FOREMAN_ADDR: 'nas:9000' }, 'http://nas:9000'],
    [{ FOREMAN_URL: 'nas' }, 'http://nas:8080'],
    [{ FOREMAN_URL: ':9000' }, 'http://127.0.0.1:9000'],
    [{ FOREMAN_URL: 'https://foreman.example.org/x/', FOREMAN_ADDR: 'nonsense' }, 'https://foreman.example.org/x'],
  ])('with %j calls %s', (env, url) => {
    expect(loadClientConfig(env)).toEqual({ kind: 'ok', config: { url, token: null } })
  })

  test('is told in one sentence when FOREMAN_URL is wrong', () => {
    expect(loadClientConfig({ FOREMAN_URL: 'nas:http' })).toEqual({
      kind: 'invalid',
      problems: ['FOREMAN_URL is "nas:http": expected the URL of a running foreman such as http://nas:8080 or nas'],
    })
  })
})
