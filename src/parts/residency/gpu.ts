/** Notices that a model that ran on the GPU runs on the CPU: by its share of video memory, or by a speed that has fallen to a quarter; it must never act. */
import type { Usage } from '../../domain/job/job.ts'
import type { Reading } from '../../domain/reading.ts'
import type { ResidentModel } from '../../domain/wire/inventory.ts'
import { canonicalName, displayNameOf } from '../../domain/wire/model-name.ts'
import type { PartPorts } from '../../engine/part.ts'
import { createSpeeds } from './speeds.ts'

export interface GpuWatch {
  /** /api/ps said so. */
  seen(residents: readonly ResidentModel[], loadedKeys: readonly string[]): void
  /** A job of this model ended well. */
  done(model: string, usage: Usage): void
  /** It has been loaded anew: its speed is judged anew. */
  forgive(canonicalModel: string): void
  /** It is installed no longer. */
  forget(canonicalModel: string): void
  /** The models that have lost it, each with a sentence. */
  lost(): ReadonlyMap<string, string>
  told(): unknown
  metrics(): readonly Reading[]
}

interface GpuPorts extends Pick<PartPorts<never>, 'notice' | 'alarm'> {
  /** A model that is wholly on the CPU when it is first seen has lost it too. */
  readonly isRequired: boolean
  /** A model has lost it, for the sake of this sentence; called again for as long as it is seen so. */
  readonly onLost: (canonicalModel: string, words: string) => void
}

const SHARE_LEAST = 0.9
const MODELS_MAX = 200

const percent = (share: number) => `${Math.round(share * 100)} %`

const remember = <T>(memory: Map<string, T>, key: string, value: T) => {
  const [oldest] = memory.keys()
  if (!memory.has(key) && memory.size >= MODELS_MAX && oldest !== undefined) memory.delete(oldest)
  memory.set(key, value)
}

/** Nothing is known yet. */
export const createGpuWatch = ({ notice, alarm, isRequired, onLost }: GpuPorts): GpuWatch => {
  /** The best share that was seen, by model and context: a larger context may not fit the card, and that is no loss. */
  const shares = new Map<string, number>()
  const speeds = createSpeeds()
  const lost = new Map<string, { by: 'memory' | 'speed'; words: string }>()
  let losses = 0

  const lose = (model: string, by: 'memory' | 'speed', words: string, fields: object) => {
    const known = lost.get(model)
    if (known !== undefined) return onLost(model, known.words)
    lost.set(model, { by, words })
    losses++
    const name = displayNameOf(model)
    notice('warn', 'gpu_lost', { model: name, by, message: words, ...fields })
    alarm(`gpu_lost ${name}`, words)
    onLost(model, words)
  }
  const regain = (model: string, by: 'memory' | 'speed' | undefined) => {
    if (by === undefined || lost.get(model)?.by !== by) return
    lost.delete(model)
    notice('info', 'gpu_back', { model: displayNameOf(model) })
    alarm(`gpu_lost ${displayNameOf(model)}`, null)
  }

  const weigh = ({ canonical, contextLength, sizeBytes, vramBytes }: ResidentModel, onPurpose: boolean) => {
    if (sizeBytes === null || vramBytes === null || sizeBytes <= 0) return
    const share = vramBytes / sizeBytes
    const key = `${canonical} ${contextLength}`
    const best = Math.max(shares.get(key) ?? 0, share)
    remember(shares, key, best)
    const isBare = isRequired && share === 0
    if (onPurpose || !(share < SHARE_LEAST * best || isBare)) return regain(canonical, 'memory')
    const before = best > share ? `, ${percent(best)} before` : ''
    const words = `${displayNameOf(canonical)} runs on the CPU: ${percent(share)} of it on the GPU${before}`
    lose(canonical, 'memory', words, { share, was: best })
  }

  return {
    seen(residents, loadedKeys) {
      for (const resident of residents) {
        // Somebody asked for so many layers.
        const onPurpose = loadedKeys.some(
          (key) => key.startsWith(`${resident.canonical} `) && key.includes(' num_gpu='),
        )
        weigh(resident, onPurpose)
      }
    },
    done(model, { completionTokens, evalMs }) {
      const canonical = canonicalName(model)
      if (canonical === null || completionTokens === null || evalMs === undefined) return
      const judged = speeds.judge(canonical, completionTokens, evalMs)
      if (judged === null) return
      if (!judged.isSlow) return regain(canonical, 'speed')
      const { perSecond, average } = judged
      const words = `${displayNameOf(canonical)} makes ${perSecond.toFixed(1)} tokens/s where it made ${average.toFixed(1)}: is it on the CPU?`
      lose(canonical, 'speed', words, { tokens_per_second: perSecond, was: average })
    },
    forgive(model) {
      speeds.forgive(model)
      regain(model, 'speed')
    },
    forget: (model) => regain(model, lost.get(model)?.by),
    lost: () => new Map([...lost].map(([model, { words }]) => [model, words])),
    told: () => (lost.size === 0 ? undefined : [...lost.values()].map(({ words }) => words)),
    metrics: () => [
      {
        name: 'foreman_gpu_lost',
        help: 'Models that ran on the GPU and do not now',
        type: 'gauge',
        samples: [{ value: lost.size }],
      },
      {
        name: 'foreman_gpu_losses_total',
        help: 'Times a model was found to have lost the GPU',
        type: 'counter',
        samples: [{ value: losses }],
      },
    ],
  }
}
