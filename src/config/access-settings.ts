/** The core's settings about where foreman listens and keeps its data, which target it has, and who may use it. */
import { resolve } from 'node:path'
import { bad, ok, readBoolean, readServerUrl, readToken } from '../domain/readers.ts'
import type { Environment, SettingRows } from '../domain/setting.ts'
import { readAddress, readHosts, readNamedTokens, readOrigins } from './values.ts'

/** systemd's directory (a colon list when a unit has several), else the XDG data directory, else its default in HOME. */
const defaultDataDir = (env: Environment): string => {
  const state = env['STATE_DIRECTORY']?.split(':')[0]
  if (state) return state
  const data = env['XDG_DATA_HOME']
  // The XDG specification says that a relative path here is to be ignored.
  if (data?.startsWith('/')) return `${data.replace(/\/+$/, '')}/foreman`
  return env['HOME'] ? `${env['HOME'].replace(/\/+$/, '')}/.local/share/foreman` : ''
}

export const accessSettings = {
  addr: {
    variable: 'FOREMAN_ADDR',
    fallback: '127.0.0.1:8080',
    flag: ['addr', 'HOST:PORT'],
    mistaken: ['FOREMAN_PORT', 'FOREMAN_HOST', 'FOREMAN_BIND', 'FOREMAN_LISTEN'],
    meaning: 'listen address; :8080 is every address of the machine',
    allowed: 'host:port such as 127.0.0.1:8080, :8080 or [::1]:8080, with a port from 0 (any free one) to 65535',
    parse: readAddress,
  },
  ollamaUrl: {
    variable: 'FOREMAN_OLLAMA_URL',
    fallback: 'http://127.0.0.1:11434',
    flag: ['target', 'URL'],
    mistaken: ['FOREMAN_TARGET', 'FOREMAN_OLLAMA', 'FOREMAN_OLLAMA_HOST', 'FOREMAN_OLLAMA_ADDR', 'FOREMAN_OLLAMA_PORT'],
    meaning: 'the target: the one Ollama server behind this foreman (OLLAMA_HOST is not read)',
    allowed: 'a URL such as http://gpu-box:11434 or gpu-box, without credentials or a query',
    parse: readServerUrl(11_434),
  },
  ollamaToken: {
    variable: 'FOREMAN_OLLAMA_TOKEN',
    fallback: '',
    meaning: 'bearer token sent to the target',
    allowed: 'up to 4096 printable ASCII characters without blanks',
    secret: true,
    parse: readToken,
  },
  token: {
    variable: 'FOREMAN_TOKEN',
    fallback: '',
    mistaken: ['FOREMAN_API_KEY'],
    meaning: 'bearer token that clients must send',
    allowed: 'up to 4096 printable ASCII characters without blanks',
    secret: true,
    parse: readToken,
  },
  tokens: {
    variable: 'FOREMAN_TOKENS',
    fallback: '',
    meaning: 'bearer tokens with a name each, beside FOREMAN_TOKEN: the name says who asked',
    allowed: 'pairs such as alice=a-long-token,ci=another-one; no name and no token twice',
    secret: true,
    parse: readNamedTokens,
  },
  tokenInPath: {
    variable: 'FOREMAN_TOKEN_IN_PATH',
    fallback: 'false',
    meaning:
      "the token may also be the first part of a path (http://host:port/TOKEN), for clients that send no headers such as Ollama's command line",
    allowed: 'true or false',
    parse: readBoolean,
  },
  origins: {
    variable: 'FOREMAN_ORIGINS',
    fallback: '',
    meaning: 'more origins of web pages that may use foreman, separated by commas',
    allowed: 'origins such as https://chat.example.org, chrome-extension://* or *, without a path',
    parse: readOrigins,
  },
  hosts: {
    variable: 'FOREMAN_HOSTS',
    fallback: '',
    meaning: 'more names by which foreman may be called; beyond loopback, setting it refuses all others',
    allowed: 'host names such as foreman.example.org or *.example.org, separated by commas, without ports',
    parse: readHosts,
  },
  dataDir: {
    variable: 'FOREMAN_DATA_DIR',
    fallback: '',
    fallbackFrom: defaultDataDir,
    flag: ['data-dir', 'PATH'],
    fallbackShown: '$STATE_DIRECTORY, else $XDG_DATA_HOME/foreman, else ~/.local/share/foreman',
    meaning: 'where the database and its lock live',
    allowed: 'a path such as /var/lib/foreman (~ is not expanded here)',
    parse: (text) => (text === '' || text.startsWith('~') || text.includes('\0') ? bad() : ok(resolve(text))),
  },
} satisfies SettingRows
