/** Keeps the models of FOREMAN_ENSURE_MODELS on the target: missing ones come, changed ones are told, broken ones are mended once; it must never ask a registry for what is there. */
import { ensureModel, tryOut } from '../../domain/models/ensure.ts'
import type { Progress } from '../../domain/models/transfer.ts'
import type { Wanted } from '../../domain/models/wanted.ts'
import { canonicalName } from '../../domain/wire/model-name.ts'
import { createModelsPort } from './port.ts'
import type { ModelState, ModelsPorts } from './ports.ts'
import { createSeen } from './store.ts'

const AGAIN_MS = 3_600_000
const LOG_EVERY_SHARE = 0.1
// Words of a load that fails for the file's sake, not for want of memory.
const BROKEN_FILE =
  /invalid file magic|corrupt|truncated|unexpected (EOF|end)|tensor .* (out of|not within)|failed to (read|load) (model|tensor)|blobs\/sha256/i

/** The keeper of one target. */
export class Keeper {
  readonly #ports: ModelsPorts
  readonly #halt = new AbortController()
  readonly #port
  readonly #seen
  readonly #states = new Map<string, ModelState>()
  /** When each was last asked of the registry. */
  readonly #askedAtMs = new Map<string, number>()
  /** Models that failed to load for their file's sake. */
  readonly #suspects = new Set<string>()
  #working: Promise<void> | null = null
  #subscriptions: (() => void)[] = []

  constructor(ports: ModelsPorts) {
    this.#ports = ports
    this.#port = createModelsPort(ports, this.#halt.signal)
    this.#seen = createSeen(ports.tables)
    for (const { model } of ports.settings.ensureModels) this.#states.set(model, { state: 'unknown', words: null })
  }

  start(): void {
    const { bus, target } = this.#ports
    this.#subscriptions = [
      target.onPolled(() => this.#look()),
      bus.on('job_failed', 'models', ({ model, failure }) => {
        const wanted = this.#wanted(model)
        if (wanted === undefined || failure.code !== 'load_failed' || !BROKEN_FILE.test(failure.message)) return
        this.#suspects.add(wanted.model)
        this.#look()
      }),
    ]
  }

  async stop(): Promise<void> {
    this.#halt.abort()
    for (const end of this.#subscriptions) end()
    await this.#working
  }

  status() {
    return Object.fromEntries(this.#states)
  }

  #wanted(model: string): Wanted | undefined {
    const name = canonicalName(model)
    return this.#ports.settings.ensureModels.find((wanted) => canonicalName(wanted.model) === name)
  }

  /** After each poll: what is there is compared, what is not is made to come, one at a time. */
  #look(): void {
    if (this.#halt.signal.aborted) return
    this.#working ??= this.#lookOnce()
      .catch((error: unknown) => this.#ports.notice('error', 'models_failed', { message: String(error) }))
      .finally(() => {
        this.#working = null
      })
  }

  async #lookOnce(): Promise<void> {
    for (const wanted of this.#ports.settings.ensureModels) {
      if (this.#halt.signal.aborted || !this.#ports.target.view().reachable) return
      const name = canonicalName(wanted.model) ?? wanted.model
      const installed = this.#ports.target.view().inventory.get(name)
      if (installed === undefined) await this.#bring(wanted)
      else if (this.#suspects.has(wanted.model)) await this.#mend(wanted)
      else await this.#compare(wanted, name, installed.digest)
    }
  }

  #set(model: string, state: ModelState['state'], words: string | null = null): void {
    this.#states.set(model, { state, words })
    const isMissing = state === 'missing'
    if (state !== 'coming') this.#ports.alarm(`model_missing ${model}`, isMissing ? words : null)
    if (state !== 'coming') this.#ports.alarm(`model_broken ${model}`, state === 'broken' ? words : null)
  }

  async #compare({ model }: Wanted, name: string, digest: string): Promise<void> {
    if (this.#states.get(model)?.state !== 'broken') this.#set(model, 'there')
    const before = this.#seen.digestOf(name)
    if (digest === '' || before === digest) return
    await this.#seen.see(name, digest)
    if (before === null) return
    const short = (text: string) => text.replace(/^sha256:/, '').slice(0, 12)
    this.#ports.happened(
      'model_changed',
      `${model} is another version than before: ${short(before)} is now ${short(digest)}`,
    )
  }

  /** At most once an hour: a registry that is away, or has no such model, is not asked at every poll. */
  #mayAsk(model: string): boolean {
    const { clock } = this.#ports
    const at = this.#askedAtMs.get(model)
    if (at !== undefined && clock.monotonicMs() - at < AGAIN_MS) return false
    this.#askedAtMs.set(model, clock.monotonicMs())
    return true
  }

  async #bring(wanted: Wanted): Promise<void> {
    const { model } = wanted
    if (!this.#mayAsk(model)) return
    const { notice, clock } = this.#ports
    this.#set(model, 'coming', 'it is asked for')
    notice('info', 'model_missing', { model })
    const options = { isVerified: false, progress: this.#progress(model), now: clock.monotonicMs }
    const result = await ensureModel(this.#port, wanted, options)
    if (this.#halt.signal.aborted) return
    if (result.kind === 'failed') {
      this.#set(model, 'missing', result.message)
      notice('warn', 'model_not_ensured', { model, message: result.message })
      return
    }
    const { how, parameterSize, sizeBytes } = result
    notice('info', 'model_ensured', { model, how, parameters: parameterSize, bytes: sizeBytes })
    this.#set(model, 'there')
    // Nobody's model has to go for it: it is tried when nobody works, and not waited for.
    void this.#tryInQuiet(model).catch((error: unknown) => notice('error', 'models_failed', { message: String(error) }))
  }

  async #tryInQuiet(model: string): Promise<void> {
    const { signal } = this.#halt
    while (!signal.aborted && (await this.#ports.quiet.run(() => this.#try(model), signal)).kind === 'gave-way');
  }

  async #try(model: string): Promise<string | null> {
    const { target, notice, clock } = this.#ports
    const beganAtMs = clock.monotonicMs()
    const capabilities = target.view().inventory.get(canonicalName(model) ?? model)?.capabilities ?? []
    const problem = await tryOut(this.#port, model, capabilities)
    if (this.#halt.signal.aborted) return problem
    if (problem === null) {
      notice('info', 'model_verified', { model, took_ms: Math.round(clock.monotonicMs() - beganAtMs) })
      this.#set(model, 'there')
    } else this.#set(model, 'broken', `${model} is there and does not work: ${problem}`)
    return problem
  }

  /** Tried first; then the registry must answer before anything is deleted. Once an hour at most. */
  async #mend(wanted: Wanted): Promise<void> {
    const { model, modelfile } = wanted
    this.#suspects.delete(model)
    const tried = await this.#ports.quiet.run(() => this.#try(model), this.#halt.signal)
    if (tried.kind !== 'ran') return void this.#suspects.add(model)
    if (tried.value === null || !BROKEN_FILE.test(tried.value) || modelfile !== null || !this.#mayAsk(model)) return
    const body = { model, stream: true }
    let said = ''
    const known = await this.#port.follow('/api/pull', body, (line) => {
      said = line
    })
    if (known.kind === 'failed' || !said.includes('"success"')) return
    this.#ports.notice('warn', 'model_replaced', { model, message: tried.value })
    const { send } = this.#ports.target
    const bytes = new TextEncoder().encode(JSON.stringify({ model }))
    const reply = await send(
      { method: 'DELETE', path: '/api/delete', headers: [['Content-Type', 'application/json']], body: bytes },
      { reuse: false, signal: this.#halt.signal },
    )
    if (reply.kind === 'answered') reply.body.cancel()
    const options = { isVerified: true, progress: this.#progress(model), now: this.#ports.clock.monotonicMs }
    const result = await ensureModel(this.#port, wanted, options)
    if (result.kind === 'failed') this.#set(model, 'broken', result.message)
    else {
      this.#set(model, 'there')
      this.#ports.happened('model_mended', `${model} could not be loaded and was pulled anew: it works again`)
    }
  }

  #progress(model: string) {
    let loggedShare = 0
    return ({ status, completedBytes, totalBytes }: Progress) => {
      const share = totalBytes === 0 ? 0 : completedBytes / totalBytes
      this.#states.set(model, { state: 'coming', words: `${status}, ${Math.floor(share * 100)} %` })
      if (share - loggedShare < LOG_EVERY_SHARE) return
      loggedShare = share
      this.#ports.notice('info', 'model_transfer', { model, status, share: Math.round(share * 100) / 100 })
    }
  }
}
