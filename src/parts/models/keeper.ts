/** Keeps the models of FOREMAN_ENSURE_MODELS on the target: missing ones come, changed ones are told, broken ones are mended once; it must never ask a registry for what is there. */
import { ensureModel, isListed, type Tried, tryOut } from '../../domain/models/ensure.ts'
import type { Progress } from '../../domain/models/transfer.ts'
import type { Wanted } from '../../domain/models/wanted.ts'
import { canonicalName } from '../../domain/wire/model-name.ts'
import { createModelsPort } from './port.ts'
import type { ModelState, ModelsPorts } from './ports.ts'
import { createSeen } from './store.ts'

const AGAIN_MS = 3_600_000
// A trial that had to give way: each may push out a model that is worked with.
const TRY_AGAIN_MS = 60_000
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
      bus.on('job_done', 'models', ({ model, servedBy }) => {
        const wanted = servedBy === undefined ? this.#wanted(model) : undefined
        if (wanted !== undefined && this.#states.get(wanted.model)?.state === 'broken') this.#set(wanted.model, 'there')
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
    // A job may fail before the first list is there: nothing is missing for that.
    if (this.#ports.target.view().lastPollAt === null) return
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
    const state = this.#states.get(model)?.state
    if (!this.#mayAsk(model)) {
      // A poll from before it came says nothing.
      if (state === 'there' && (await isListed(this.#port, model)) === false)
        this.#set(model, 'missing', `${model} came within the last hour and is gone again: something deletes it`)
      return
    }
    const { notice, clock } = this.#ports
    this.#set(model, 'coming', 'it is asked for')
    notice('info', 'model_missing', { model })
    const options = { isVerified: false, progress: this.#progress(model), now: clock.monotonicMs }
    const result = await ensureModel(this.#port, wanted, options)
    if (this.#halt.signal.aborted) return
    if (result.kind === 'failed') {
      // The target went, not the registry: it goes on as soon as the target is back.
      if (typeof (await isListed(this.#port, model)) === 'object') {
        this.#askedAtMs.delete(model)
        this.#states.set(model, { state: 'unknown', words: 'the target went away while it came' })
        return
      }
      this.#set(model, 'missing', result.message)
      notice('warn', 'model_not_ensured', { model, message: result.message })
      return
    }
    const { how, parameterSize, sizeBytes } = result
    this.#set(model, 'there')
    if (how === 'there') {
      this.#askedAtMs.delete(model)
      return
    }
    notice('info', 'model_ensured', { model, how, parameters: parameterSize, bytes: sizeBytes })
    const wasThere = this.#seen.digestOf(canonicalName(model) ?? model) !== null
    if (wasThere) this.#ports.happened('model_mended', `${model} was gone and was ${how} again`)
    // Nobody's model has to go for it: it is tried when nobody works, and not waited for.
    void this.#tryInQuiet(model).catch((error: unknown) => notice('error', 'models_failed', { message: String(error) }))
  }

  async #tryInQuiet(model: string): Promise<void> {
    const { signal } = this.#halt
    while (!signal.aborted) {
      const tried = await this.#ports.quiet.run((until) => this.#try(model, until), signal)
      if (tried.kind === 'over' || (tried.kind === 'ran' && tried.value.kind !== 'silent')) return
      await this.#port.pause(TRY_AGAIN_MS)
    }
  }

  /** Given up at once when a job comes: nobody waits for it. */
  async #try(model: string, until: AbortSignal): Promise<Tried> {
    const { target, notice, clock } = this.#ports
    const beganAtMs = clock.monotonicMs()
    const capabilities = target.view().inventory.get(canonicalName(model) ?? model)?.capabilities ?? []
    const port = createModelsPort(this.#ports, until)
    const tried = await tryOut(port, model, capabilities)
    // Deleted meanwhile: it is missing and not broken, and the next look tells.
    const isGone = tried.kind === 'fails' && (await isListed(port, model)) === false
    if (until.aborted || isGone) return tried
    if (tried.kind === 'works') {
      notice('info', 'model_verified', { model, took_ms: Math.round(clock.monotonicMs() - beganAtMs) })
      this.#set(model, 'there')
    } else if (tried.kind === 'fails')
      this.#set(model, 'broken', `${model} is there and does not work: ${tried.message}`)
    return tried
  }

  /** Tried first; then the registry must answer before anything is deleted. Once an hour at most. */
  async #mend(wanted: Wanted): Promise<void> {
    const { model, modelfile } = wanted
    this.#suspects.delete(model)
    const ran = await this.#ports.quiet.run((until) => this.#try(model, until), this.#halt.signal)
    if (ran.kind !== 'ran' || ran.value.kind === 'silent') return void this.#suspects.add(model)
    const tried = ran.value
    if (tried.kind === 'works' || !BROKEN_FILE.test(tried.message) || modelfile !== null || !this.#mayAsk(model)) return
    const body = { model, stream: true }
    let said = ''
    const known = await this.#port.follow('/api/pull', body, (line) => {
      said = line
    })
    if (known.kind === 'failed' || !said.includes('"success"')) return
    this.#ports.notice('warn', 'model_replaced', { model, message: tried.message })
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
