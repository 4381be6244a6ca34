/** Whether the target is this foreman itself, or leads back to it, whatever the addresses look like. */
import { askTarget } from './ask.ts'
import type { SendTarget } from './ports.ts'

// A target that is asleep must not delay the start; one that leads back here is on a network that is awake.
const SELF_TIMEOUT_MS = 500

/** What is wrong with the target's address, or null. `returned`: how one of this foreman's own requests has come back to it. */
export const selfProblem = async (
  target: SendTarget,
  instance: string,
  returned: () => 'straight' | 'circle' | null,
): Promise<string | null> => {
  const bounds = { wholeTimeoutMs: SELF_TIMEOUT_MS }
  const [self] = await Promise.all([askTarget(target, '/livez', bounds), askTarget(target, '/api/version', bounds)])
  const { instance: named } = Object(self.kind === 'answered' ? self.json : null) as { instance?: unknown }
  if (named === instance || returned() === 'straight') return 'is this foreman itself'
  return returned() === 'circle' ? 'is a foreman whose own target is this one, so calls would run in a circle' : null
}
