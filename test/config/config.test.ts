import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { type Config, type Environment, loadConfig, secretsIn } from '../../src/config/config.ts'
import { coreSettings } from '../../src/config/core-settings.ts'
import { settings } from '../../src/config/settings.ts'
import { configOf, home, problemsOf, warningsOf } from '../support/settings.ts'

describe('an empty environment', () => {
  test('gives the documented defaults without a warning', () => {
    const { keepAlive, ...all } = configOf({})
    // What a part is told by default is its own test's.
    const core = Object.fromEntries(Object.entries(all).filter(([field]) => field in coreSettings))
    expect(core).toEqual({
      addr: { hostname: '127.0.0.1', port: 8080 },
      ollamaUrl: 'http://127.0.0.1:11434',
      ollamaToken: null,
      token: null,
      tokens: [],
      tokenInPath: false,
      origins: [],
      hosts: [],
      dataDir: '/home/ada/.local/share/foreman',
      pollIntervalMs: 30_000,
      maxAttempts: 3,
      maxWaitMs: 120_000,
      embed: 'auto',
      parallel: 1,
      maxQueue: 10_000,
      unreachableDeadlineMs: 60_000,
      syncDeadlineMs: 0,
      heartbeatMs: 0,
      jobTimeoutMs: 1_800_000,
      jobTtlMs: 86_400_000,
      artifactInlineMaxBytes: 262_144,
      webhookSecrets: [],
      webhookPolicy: 'lan',
      publicUrl: null,
      maxBodyBytes: 134_217_728,
      maxBodiesBytes: 1024 ** 3,
      readOnly: false,
      logLevel: 'info',
    })
    expect(keepAlive).toEqual({ models: new Map(), rest: { json: '-1' } })
    expect(warningsOf({})).toEqual([])
  })

  test('cannot be changed afterwards', () => {
    const config = configOf({})
    expect(Object.isFrozen(config) && Object.isFrozen(config.addr) && Object.isFrozen(config.webhookSecrets)).toBe(true)
  })

  test('treats an empty variable as not set', () => {
    expect(configOf({ FOREMAN_TOKEN: '', FOREMAN_POLL_INTERVAL: ' ', FOREMAN_MAX_WAIT: '""' })).toMatchObject({
      token: null,
      origins: [],
      hosts: [],
      pollIntervalMs: 30_000,
    })
  })
})

describe('a good value', () => {
  test.each<[string, string, keyof Config, unknown]>([
    ['FOREMAN_ADDR', ':9000', 'addr', { hostname: '::', port: 9000 }],
    ['FOREMAN_ADDR', '[::1]:0', 'addr', { hostname: '::1', port: 0 }],
    ['FOREMAN_ADDR', 'nas.lan:80', 'addr', { hostname: 'nas.lan', port: 80 }],
    ['FOREMAN_OLLAMA_URL', 'http://gpu-box:11434/', 'ollamaUrl', 'http://gpu-box:11434'],
    ['FOREMAN_OLLAMA_URL', 'https://gpu.example.org/ollama/', 'ollamaUrl', 'https://gpu.example.org/ollama'],
    ['FOREMAN_OLLAMA_URL', 'gpu-box', 'ollamaUrl', 'http://gpu-box:11434'],
    ['FOREMAN_OLLAMA_URL', 'gpu-box:1234/', 'ollamaUrl', 'http://gpu-box:1234'],
    ['FOREMAN_OLLAMA_URL', '192.168.1.5/ollama', 'ollamaUrl', 'http://192.168.1.5:11434/ollama'],
    ['FOREMAN_OLLAMA_URL', ':11434', 'ollamaUrl', 'http://127.0.0.1:11434'],
    ['FOREMAN_OLLAMA_URL', '[fd00::5]', 'ollamaUrl', 'http://[fd00::5]:11434'],
    ['FOREMAN_OLLAMA_URL', 'http://gpu-box', 'ollamaUrl', 'http://gpu-box'],
    ['FOREMAN_TOKEN', 's3cret/=', 'token', 's3cret/='],
    ['FOREMAN_DATA_DIR', '/var/lib/foreman/', 'dataDir', '/var/lib/foreman'],
    ['FOREMAN_POLL_INTERVAL', '1.5m', 'pollIntervalMs', 90_000],
    ['FOREMAN_POLL_INTERVAL', '10', 'pollIntervalMs', 10_000],
    ['FOREMAN_EMBED_MODEL', 'nomic-embed-text', 'embedModel', 'nomic-embed-text'],
    ['FOREMAN_EMBED', 'Queue', 'embed', 'queue'],
    ['FOREMAN_PARALLEL', '64', 'parallel', 64],
    ['FOREMAN_TOKEN', `'"abc"'`, 'token', 'abc'],
    ['FOREMAN_MAX_QUEUE', '" 7 "', 'maxQueue', 7],
    ['FOREMAN_MAX_ATTEMPTS', '100', 'maxAttempts', 100],
    ['FOREMAN_MAX_WAIT', '0', 'maxWaitMs', 0],
    ['FOREMAN_UNREACHABLE_DEADLINE', '0', 'unreachableDeadlineMs', 0],
    ['FOREMAN_SYNC_DEADLINE', '10m', 'syncDeadlineMs', 600_000],
    ['FOREMAN_HEARTBEAT', '60', 'heartbeatMs', 60_000],
    ['FOREMAN_ARTIFACT_INLINE_MAX', '0', 'artifactInlineMaxBytes', 0],
    [
      'FOREMAN_WEBHOOK_SECRET',
      'a-secret-of-length,another-secret-1',
      'webhookSecrets',
      ['a-secret-of-length', 'another-secret-1'],
    ],
    [
      'FOREMAN_WEBHOOK_SECRET',
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'webhookSecrets',
      ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    ],
    ['FOREMAN_WEBHOOK_POLICY', 'Public', 'webhookPolicy', 'public'],
    ['FOREMAN_PUBLIC_URL', 'https://foreman.example.org/', 'publicUrl', 'https://foreman.example.org'],
    ['FOREMAN_MAX_BODY', '1GiB', 'maxBodyBytes', 1_073_741_824],
    ['FOREMAN_READ_ONLY', '1', 'readOnly', true],
    ['FOREMAN_LOG_LEVEL', 'debug', 'logLevel', 'debug'],
  ])('%s=%s is taken', (variable, text, field, value) => {
    expect<unknown>(configOf({ [variable]: text })[field]).toEqual(value)
  })
})

describe('a bad value', () => {
  test.each([
    ['FOREMAN_ADDR', '8080'],
    ['FOREMAN_ADDR', 'localhost'],
    ['FOREMAN_ADDR', ':65536'],
    ['FOREMAN_ADDR', '::1:8080'],
    ['FOREMAN_OLLAMA_URL', 'gpu-box:port'],
    ['FOREMAN_OLLAMA_URL', 'gpu-box:70000'],
    ['FOREMAN_OLLAMA_URL', 'gpu-box?x=1'],
    ['FOREMAN_OLLAMA_URL', 'gpu box'],
    ['FOREMAN_OLLAMA_URL', '::1:11434'],
    ['FOREMAN_OLLAMA_URL', '/ollama'],
    ['FOREMAN_OLLAMA_URL', 'ftp://gpu-box'],
    ['FOREMAN_OLLAMA_URL', 'http://gpu-box?x=1'],
    ['FOREMAN_OLLAMA_URL', 'http://'],
    ['FOREMAN_DATA_DIR', '~/foreman'],
    ['FOREMAN_POLL_INTERVAL', 'fast'],
    ['FOREMAN_POLL_INTERVAL', '0'],
    ['FOREMAN_POLL_INTERVAL', '-1s'],
    ['FOREMAN_POLL_INTERVAL', '2h'],
    ['FOREMAN_KEEP_ALIVE', 'soon'],
    ['FOREMAN_EMBED_MODEL', 'not a model'],
    ['FOREMAN_EMBED', 'maybe'],
    ['FOREMAN_PARALLEL', '0'],
    ['FOREMAN_PARALLEL', '65'],
    ['FOREMAN_MAX_ATTEMPTS', '0'],
    ['FOREMAN_MAX_ATTEMPTS', '101'],
    ['FOREMAN_MAX_ATTEMPTS', '3.5'],
    ['FOREMAN_MAX_WAIT', '10ms'],
    ['FOREMAN_MAX_QUEUE', '0'],
    ['FOREMAN_UNREACHABLE_DEADLINE', '25h'],
    ['FOREMAN_SYNC_DEADLINE', '-1'],
    ['FOREMAN_JOB_TIMEOUT', '0'],
    ['FOREMAN_JOB_TTL', '9000h'],
    ['FOREMAN_ARTIFACT_INLINE_MAX', '1GiB'],
    ['FOREMAN_WEBHOOK_POLICY', 'everything'],
    ['FOREMAN_PUBLIC_URL', 'foreman.example.org'],
    ['FOREMAN_MAX_BODY', '128MB'],
    ['FOREMAN_READ_ONLY', 'maybe'],
    ['FOREMAN_LOG_LEVEL', 'loud'],
  ])('%s=%s stops the start with the variable, the value and what is allowed', (variable, text) => {
    const setting = Object.values(settings).find((candidate) => candidate.variable === variable)
    const [problem, ...more] = problemsOf({ [variable]: text })
    expect(problem).toStartWith(`${variable} is ${JSON.stringify(text)}: expected ${setting?.allowed}`)
    expect(more).toEqual([])
  })

  test('of a secret is never printed', () => {
    for (const variable of ['FOREMAN_TOKEN', 'FOREMAN_OLLAMA_TOKEN', 'FOREMAN_WEBHOOK_SECRET']) {
      const [problem] = problemsOf({ [variable]: 'hunter2 \u00e9' })
      expect(problem).toStartWith(`${variable} is set to a value that is not shown: expected `)
      expect(problem).not.toContain('hunter2')
    }
    for (const url of ['http://ada:hunter2@gpu-box', 'ada:hunter2@gpu-box', 'ada:hunter2@gpu-box:11434/'])
      expect(problemsOf({ FOREMAN_OLLAMA_URL: url })[0]).not.toContain('hunter2')
  })

  test.each([
    'short',
    'a-secret-of-length,',
    'a-secret-of-length,a-secret-of-length',
    'whsec_%%%%%%%%%%%%%%%%%%',
    `${'x'.repeat(16)},${'y'.repeat(16)},${'z'.repeat(16)}`,
  ])('webhook secret %s is refused', (text) => {
    expect(problemsOf({ FOREMAN_WEBHOOK_SECRET: text })).toHaveLength(1)
  })

  test.each(['alice', 'alice=', '=token', 'alice=a b', 'alice=one,alice=two', 'alice=one,ci=one', 'al ice=one'])(
    'tokens with names %s are refused, and not shown',
    (text) => {
      const [problem, ...more] = problemsOf({ FOREMAN_TOKENS: text })
      expect(more).toEqual([])
      expect(problem).toStartWith('FOREMAN_TOKENS is set to a value that is not shown: expected pairs')
    },
  )

  test('a token is one client’s: it has no name and none beside it', () => {
    const { tokens } = configOf({ FOREMAN_TOKENS: 'alice=one, ci=two==' })
    expect(tokens).toEqual([
      { name: 'alice', token: 'one' },
      { name: 'ci', token: 'two==' },
    ])
    expect(problemsOf({ FOREMAN_TOKEN: 'one', FOREMAN_TOKENS: 'alice=one' })).toEqual([
      'FOREMAN_TOKENS is set to a value that is not shown: expected no token that is FOREMAN_TOKEN too',
    ])
    expect(secretsIn(configOf({ FOREMAN_TOKENS: 'alice=one,ci=two' }))).toEqual(['one', 'two'])
  })

  test('does not hide the others: every problem is told at once', () => {
    const problems = problemsOf({ FOREMAN_ADDR: 'x', FOREMAN_MAX_QUEUE: 'y', FOREMAN_TOKN: 'z' })
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
      'FOREMAN_ADDR',
      'FOREMAN_MAX_QUEUE',
      'FOREMAN_TOKN',
    ])
  })

  test('is a sentence whatever the text is', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(settings)), fc.string(), ({ variable }, text) => {
        for (const problem of problemsOf({ [variable]: text }))
          expect(problem).toMatch(/^FOREMAN_[A-Z_]+ is .+ expected .+/)
      }),
    )
  })
})

describe('a flag', () => {
  const flags = { addr: ':9000', target: 'gpu-box', 'data-dir': '/srv/foreman' }

  test('wins over its variable', () => {
    const loaded = loadConfig(
      { ...home, FOREMAN_ADDR: ':1', FOREMAN_OLLAMA_URL: 'nowhere', FOREMAN_DATA_DIR: '/x' },
      flags,
    )
    if (loaded.kind === 'invalid') throw new Error(loaded.problems.join())
    const { addr, ollamaUrl, dataDir } = loaded.config
    expect([addr.port, ollamaUrl, dataDir]).toEqual([9000, 'http://gpu-box:11434', '/srv/foreman'])
  })

  test('is named in the sentence about it', () => {
    const problems = (given: Record<string, string>) => {
      const loaded = loadConfig(home, given)
      return loaded.kind === 'invalid' ? loaded.problems : []
    }
    expect(problems({ addr: '9000', target: '?' })).toEqual([
      expect.stringMatching(/^--addr is "9000": expected host:port/),
      expect.stringMatching(/^--target is "\?": expected a URL/),
    ])
    expect(problems({ target: ':8080' })[0]).toStartWith('--target is "http://127.0.0.1:8080": that is this foreman')
  })
})

describe('a variable that is no setting', () => {
  test.each([
    ['FOREMAN_POLL_INTERVALL', '30s', 'FOREMAN_POLL_INTERVAL'],
    ['FOREMAN_TOKN', 'x', 'FOREMAN_TOKEN'],
    ['FOREMAN_ADRR', ':1', 'FOREMAN_ADDR'],
    ['FOREMAN_PORT', '9090', 'FOREMAN_ADDR'],
    ['FOREMAN_HOST', '0.0.0.0', 'FOREMAN_ADDR'],
    ['FOREMAN_OLLAMA_HOST', 'gpu-box', 'FOREMAN_OLLAMA_URL'],
    ['FOREMAN_OLLAMA_PORT', '11434', 'FOREMAN_OLLAMA_URL'],
  ])('%s=%s is refused: %s was meant', (variable, text, meant) => {
    expect(problemsOf({ [variable]: text })).toEqual([
      `${variable} is not a setting of foreman: did you mean ${meant}?`,
    ])
  })

  test.each<[string, Environment]>([
    [
      'of a service beside it',
      { FOREMAN_OLLAMA_PORT: 'tcp://10.1.2.3:11434', FOREMAN_OLLAMA_SERVICE_HOST: '10.1.2.3' },
    ],
    ['of a port of that', { FOREMAN_DB_PORT_5432_TCP: 'tcp://10.1.2.3:5432', FOREMAN_DB_PORT_5432_TCP_PROTO: 'tcp' }],
    ['of a docker link', { FOREMAN_DB_ENV_LANG: 'C', FOREMAN_DB_NAME: '/foreman/db' }],
    ['of nobody known', { FOREMAN_QUANTUM_FLUX: '1', FOREMAN_VERSION: '3' }],
  ])('%s is told in one sentence and ignored', (_, env) => {
    expect(problemsOf(env)).toEqual([])
    const names = Object.keys(env).sort().join(', ')
    expect(warningsOf(env)).toEqual([
      `${names} are no settings of foreman and ignored (\`foreman serve --help\` lists them)`,
    ])
  })

  test('is fine when it belongs to the client commands, to a service called foreman or to somebody else', () => {
    const env = {
      FOREMAN_URL: 'http://nas:8080',
      FOREMAN_SERVICE_HOST: '10.0.0.1',
      FOREMAN_SERVICE_PORT_HTTP: '8080',
      FOREMAN_PORT: 'tcp://10.0.0.1:8080',
      FOREMAN_PORT_8080_TCP_ADDR: '10.0.0.1',
      OLLAMA_HOST: '127.0.0.1:8080',
      PATH: '/bin',
    }
    expect([problemsOf(env), warningsOf(env)]).toEqual([[], []])
  })
})
