/** The one place where a call becomes what will be sent, and where it is asked whether that can run at all; both entries go through it. */
import type { Call } from '../domain/wire/call.ts'
import { withKeepAlive } from '../domain/wire/call-body.ts'
import { type KeepAlivePolicy, keepAliveFor } from '../domain/wire/keep-alive.ts'
import type { TargetView } from './state.ts'

/** A call and the bytes that go to the target. */
export interface Draft {
  readonly call: Call
  readonly body: Uint8Array
}

/** A pure function from a call to the call as it will be sent. */
export type Policy = (draft: Draft) => Draft

export interface Admission {
  use(policy: Policy): void
}

export interface AdmissionDesk extends Admission {
  /** The call as it will be sent, after every policy in the order they were given. */
  shape(draft: Draft): Draft
  /** Whether the model is there. An unreachable target's last list decides, and an empty list rejects nobody. */
  isInstalled(call: Call): Promise<boolean>
}

export interface AdmissionDeps {
  readonly keepAlive: KeepAlivePolicy
  readonly view: () => TargetView
  /** Asks the target once more: a model may have been pulled behind our back. */
  readonly poll: () => Promise<void>
}

/** FOREMAN_KEEP_ALIVE on calls that carry none. Routes that know no keep_alive have it for their load all the same. */
export const keepAlivePolicy =
  (policy: KeepAlivePolicy): Policy =>
  (draft) => {
    const { call, body } = draft
    const value = call.keepAlive === undefined ? keepAliveFor(policy, call.canonicalModel) : null
    if (value === null) return draft
    const keepAlive: unknown = JSON.parse(value.json)
    if (call.insertAt === null) return { call: { ...call, keepAlive }, body }
    const longer = withKeepAlive(body, call, value.json)
    const offset = call.insertAt.offset + longer.length - body.length
    return { call: { ...call, keepAlive, insertAt: { offset, first: false } }, body: longer }
  }

/** The desk of one engine; the keep-alive policy is the first of its policies. */
export const createAdmission = ({ keepAlive, view, poll }: AdmissionDeps): AdmissionDesk => {
  const policies: Policy[] = [keepAlivePolicy(keepAlive)]
  const isKnown = ({ cloud, canonicalModel }: Call): boolean => {
    const { inventory } = view()
    return cloud || inventory.size === 0 || inventory.has(canonicalModel)
  }
  return {
    use: (policy) => void policies.push(policy),
    shape: (draft) => policies.reduce((shaped, policy) => policy(shaped), draft),
    async isInstalled(call) {
      if (isKnown(call)) return true
      if (view().reachable) await poll()
      return isKnown(call)
    },
  }
}
