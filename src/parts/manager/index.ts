/** The part that keeps an Ollama running: its rows in the table of settings, and how it is made. */
import { bad, ok, oneOf, optional, readBoolean, sizeBetween } from '../../domain/readers.ts'
import type { SettingRows } from '../../domain/setting.ts'
import { definePart } from '../../engine/part.ts'

const path = optional((text: string) => (/^\/|^[A-Za-z]:[\\/]/.test(text) ? ok(text) : bad()))

const settings = {
  manage: {
    variable: 'FOREMAN_MANAGE',
    fallback: 'off',
    meaning: 'own: start Ollama on this machine and keep it running; adopt: watch one that somebody else runs',
    allowed: 'off, adopt or own',
    parse: oneOf(['off', 'adopt', 'own']),
  },
  ollamaBin: {
    variable: 'FOREMAN_OLLAMA_BIN',
    fallback: '',
    meaning: 'the program that FOREMAN_MANAGE=own starts; else ollama is looked for in PATH and the usual places',
    allowed: 'an absolute path such as /usr/local/bin/ollama',
    parse: path,
  },
  ollamaEnvFile: {
    variable: 'FOREMAN_OLLAMA_ENV_FILE',
    fallback: '',
    meaning:
      'file with NAME=value lines: the environment that FOREMAN_MANAGE=own starts Ollama with, beside that of foreman',
    allowed: 'an absolute path such as /etc/foreman/ollama.env',
    parse: path,
  },
  ollamaRestartCommand: {
    variable: 'FOREMAN_OLLAMA_RESTART_COMMAND',
    fallback: '',
    meaning: 'what restarts an Ollama that FOREMAN_MANAGE=adopt finds down; without it nothing does',
    allowed: 'a command line for the shell such as systemctl restart ollama',
    parse: optional((text: string) => ok(text)),
  },
  oomCpu: {
    variable: 'FOREMAN_OOM_CPU',
    fallback: 'false',
    meaning: 'a model that does not fit with half its context either is tried on the processor, which is slow',
    allowed: 'true or false',
    parse: readBoolean,
  },
  alertMemoryBytes: {
    variable: 'FOREMAN_ALERT_MEMORY',
    fallback: '6GiB',
    meaning: 'alert when a managed Ollama on this machine holds more memory, its runners included; 0 is never',
    allowed: 'a size such as 6GiB, or 0',
    parse: sizeBetween(0, 1024 ** 5),
  },
} satisfies SettingRows

export const manager = definePart({
  name: 'manager',
  settings,
  create: async (ports) => (await import('./part.ts')).createManager(ports),
})
