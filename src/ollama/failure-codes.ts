/** Turns the system's error codes into the client's own words; the system's text is always kept beside them. */
import type { Loss } from './connection.ts'
import type { BrokenCode } from './wire.ts'

const connectCodes: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ETIMEDOUT: 'connect-timeout',
  EHOSTUNREACH: 'unroutable',
  ENETUNREACH: 'unroutable',
  EHOSTDOWN: 'unroutable',
  ENETDOWN: 'unroutable',
  EPROTO: 'tls',
  ECONNRESET: 'reset',
  EOF: 'closed',
}

/** A connection that never came up. Certificate errors keep their own code, for example DEPTH_ZERO_SELF_SIGNED_CERT. */
export const unreachedCode = (loss: Loss): string => connectCodes[loss.system] ?? loss.system

/** A connection that was up and is gone. */
export const brokenCode = (loss: Loss): BrokenCode => {
  if (loss.system === 'EOF') return 'closed'
  return loss.system === 'EINTERNAL' ? 'internal' : 'reset'
}

/** The system's message, with its code in front unless it says it already. */
export const lossMessage = (loss: Loss): string =>
  loss.system === 'EOF' || loss.message.includes(loss.system) ? loss.message : `${loss.system}: ${loss.message}`
