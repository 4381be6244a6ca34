/** Joins the server with the machine it runs on: its programs, files, processes and port; whose server it is, is decided elsewhere. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isLoopback } from '../../domain/address.ts'
import type { PartPorts } from '../../engine/part.ts'
import { createAdoptedServer } from './adopted-server.ts'
import { createChosenServer } from './chosen-server.ts'
import { childEnvironment, parseEnvFile } from './env-file.ts'
import { holderOf } from './family.ts'
import { createOutputFile } from './output-file.ts'
import { createOwnServer } from './own-server.ts'
import { appPlaces, programPlaces, type Situation } from './places.ts'
import type { Processes } from './processes.ts'
import { readRecord } from './record.ts'
import type { Server } from './server.ts'

export type ManagerPorts = PartPorts<{
  readonly manage: 'off' | 'adopt' | 'own'
  readonly ollamaBin: string | null
  readonly ollamaEnvFile: string | null
  readonly ollamaRestartCommand: string | null
  readonly oomCpu: boolean
  /** 0 = none. */
  readonly alertMemoryBytes: number
}>

export interface Machine {
  readonly platform: string
  readonly processes: Processes
}

const GREETING_TIMEOUT_MS = 5_000

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    // Not there, or not to be run.
    return false
  }
}

/** Whether something answers `GET /`: what Ollama's own command line asks first. */
export const greets =
  ({ target }: Pick<ManagerPorts, 'target'>) =>
  async (signal: AbortSignal): Promise<boolean> => {
    const request = { method: 'GET', path: '/', headers: [], body: null }
    const reply = await target.send(request, {
      reuse: false,
      wholeTimeoutMs: GREETING_TIMEOUT_MS,
      connectTimeoutMs: GREETING_TIMEOUT_MS,
      signal,
    })
    if (reply.kind !== 'answered') return false
    reply.body.cancel()
    return reply.status === 200
  }

const portOf = (origin: string): number => {
  const { port, protocol } = new URL(origin)
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}

const adopted = ({ environment, clock, dataDir }: ManagerPorts, platform: string) => ({
  environment: childEnvironment(environment, {}, {}),
  platform,
  clock,
  output: createOutputFile(dataDir, 'ollama-restart.log'),
})

/** The environment of a child, or why its file cannot be used. */
const environmentOf = (
  { settings, environment, target }: ManagerPorts,
  mark: string,
): Record<string, string> | string => {
  const path = settings.ollamaEnvFile
  const [name = '', value = ''] = mark.split(/=(.*)/s)
  const fixed = { OLLAMA_HOST: target.origin, [name]: value }
  if (path === null) return childEnvironment(environment, {}, fixed)
  try {
    const read = parseEnvFile(readFileSync(path, 'utf8'), path)
    return read.kind === 'bad' ? read.message : childEnvironment(environment, read.variables, fixed)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return `FOREMAN_OLLAMA_ENV_FILE cannot be read (${why}): Ollama is not started without it`
  }
}

const ownServer = (ports: ManagerPorts, { platform, processes }: Machine): Server => {
  const { settings, environment, target, clock, dataDir } = ports
  const port = portOf(target.origin)
  const mark = `OLLAMA_MANAGED_BY=foreman ${resolve(dataDir)}`
  const places = programPlaces(platform, environment, settings.ollamaBin)
  const family = { processes, mark, record: () => readRecord(dataDir) }
  const find = () => places.find(isProgram) ?? null
  const look = async (): Promise<Situation> => ({
    platform,
    port,
    isLoopback: isLoopback(new URL(target.origin).hostname),
    isAnswering: await greets(ports)(AbortSignal.timeout(GREETING_TIMEOUT_MS)),
    holder: holderOf(family, port),
    app: appPlaces(platform, environment).find((place) => existsSync(place)) ?? null,
    program: find(),
    given: settings.ollamaBin,
  })
  const own = createOwnServer({
    processes,
    clock,
    dataDir,
    port,
    mark,
    program: () => {
      const found = find()
      return found === null ? { words: `there is no program at ${places.join(', ')} any more` } : { path: found }
    },
    environment: () => environmentOf(ports, mark),
    output: createOutputFile(dataDir),
  })
  return createChosenServer({
    own,
    look,
    adopted: adopted(ports, platform),
    restartCommand: settings.ollamaRestartCommand,
  })
}

/** The server that these settings are about. */
export const serverOn = (machine: Machine, ports: ManagerPorts): Server => {
  const { manage, ollamaRestartCommand: restartCommand } = ports.settings
  if (manage === 'own') return ownServer(ports, machine)
  return createAdoptedServer({ ...adopted(ports, machine.platform), startCommand: null, restartCommand })
}
