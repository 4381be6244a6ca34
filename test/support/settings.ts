/** Settings as a test reads them: what an environment becomes, and what is said of it. */
import { type Config, type Environment, loadConfig } from '../../src/config/config.ts'

export const home = { HOME: '/home/ada' }

export const configOf = (env: Environment): Config => {
  const loaded = loadConfig({ ...home, ...env })
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'))
  return loaded.config
}
export const problemsOf = (env: Environment): readonly string[] => {
  const loaded = loadConfig({ ...home, ...env })
  return loaded.kind === 'invalid' ? loaded.problems : []
}
export const warningsOf = (env: Environment): readonly string[] => {
  const loaded = loadConfig({ ...home, ...env })
  return loaded.kind === 'ok' ? loaded.warnings : ['invalid']
}
