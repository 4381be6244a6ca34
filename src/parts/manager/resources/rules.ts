/** When what Ollama uses is trouble: rules over samples, each with a threshold to raise and a lower one to resolve; they must never act. */
import type { Usage } from './usage.ts'

export interface Sample extends Usage {
  readonly atMs: number
  /** A job runs, or something of foreman's own. */
  readonly isWorking: boolean
}

/** Sentences by the name of their alarm; null = all is well. */
export interface Judged {
  readonly memory: string | null
  readonly leak: string | null
  readonly cpu: string | null
  readonly oom_killed: string | null
  /** Share of one processor since the sample before. */
  readonly cpuPercent: number | null
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const GIB = 1024 ** 3
const MIB = 1024 ** 2
const RESOLVE_SHARE = 0.9
// Of its cgroup's limit: at the limit the kernel ends something.
const LIMIT_SHARE = 0.9
const LEAK_GROWTH = 1.5
// The server alone is 50 to 100 MiB: half more of that is no trouble.
const LEAK_MIN_BYTES = 256 * MIB
// What it needs for its first work is no growth.
const SETTLED_MS = HOUR_MS
const BUSY_PERCENT = 80
const BUSY_MS = 300_000
const MS_PER_TICK = 10

const gib = (bytes: number) => `${(bytes / GIB).toFixed(1)} GiB`

/** The rules over one server; another one is told by its uptime. */
export class Rules {
  readonly #limitBytes: number
  #last: Sample | null = null
  /** One an hour, a day back. */
  #hourly: { readonly atMs: number; readonly bytes: number }[] = []
  #busySinceMs: number | null = null
  #oomKills: number | null = null
  #said = { memory: false, leak: false }

  /** 0 = no limit. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  judge(sample: Sample): Judged {
    const before = this.#last
    if (before !== null && sample.uptimeSeconds < before.uptimeSeconds) this.#forget()
    const cpuPercent = this.#cpuPercent(sample, this.#last)
    this.#last = sample
    return {
      memory: this.#memory(sample),
      leak: this.#leak(sample),
      cpu: this.#cpu(sample, cpuPercent),
      oom_killed: this.#oom(sample),
      cpuPercent,
    }
  }

  #forget(): void {
    this.#last = null
    this.#hourly = []
    this.#busySinceMs = null
  }

  #memory({ treeBytes, limitBytes }: Sample): string | null {
    const limits = [this.#limitBytes, (limitBytes ?? 0) * LIMIT_SHARE].filter((bytes) => bytes > 0)
    if (limits.length === 0) return null
    const limit = Math.min(...limits)
    this.#said.memory = treeBytes > limit * (this.#said.memory ? RESOLVE_SHARE : 1)
    return this.#said.memory
      ? `Ollama and its runners hold ${gib(treeBytes)} of memory, and ${gib(limit)} are allowed`
      : null
  }

  #leak({ atMs, serverBytes, uptimeSeconds }: Sample): string | null {
    const newest = this.#hourly.at(-1)
    if (uptimeSeconds * 1_000 >= SETTLED_MS && (newest === undefined || atMs - newest.atMs >= HOUR_MS))
      this.#hourly.push({ atMs, bytes: serverBytes })
    this.#hourly = this.#hourly.filter((hour) => atMs - hour.atMs <= DAY_MS)
    const [oldest] = this.#hourly
    if (oldest === undefined) return null
    const growth = serverBytes - oldest.bytes
    const isGrown = serverBytes > oldest.bytes * LEAK_GROWTH && growth > LEAK_MIN_BYTES
    this.#said.leak = this.#said.leak ? growth > LEAK_MIN_BYTES * RESOLVE_SHARE : isGrown
    const hours = Math.round((atMs - oldest.atMs) / HOUR_MS)
    return this.#said.leak
      ? `the server of Ollama alone, without its runners, grew by ${gib(growth)} to ${gib(serverBytes)} in ${hours} h`
      : null
  }

  #cpuPercent(sample: Sample, before: Sample | null): number | null {
    if (before === null || sample.atMs <= before.atMs) return null
    const usedMs = Math.max(0, sample.cpuTicks - before.cpuTicks) * MS_PER_TICK
    return Math.round((usedMs / (sample.atMs - before.atMs)) * 1_000) / 10
  }

  #cpu({ atMs, isWorking }: Sample, percent: number | null): string | null {
    const isBusy = percent !== null && percent > BUSY_PERCENT && !isWorking
    this.#busySinceMs = isBusy ? (this.#busySinceMs ?? atMs) : null
    if (this.#busySinceMs === null || atMs - this.#busySinceMs < BUSY_MS) return null
    const minutes = Math.round((atMs - this.#busySinceMs) / 60_000)
    return `Ollama has used ${percent} % of a processor for ${minutes} min although no job runs`
  }

  /** Told once for each: it has no end of its own. */
  #oom({ oomKills }: Sample): string | null {
    const before = this.#oomKills
    this.#oomKills = oomKills
    if (before === null || oomKills <= before) return null
    return 'the kernel ended a process beside Ollama for want of memory: its cgroup has a limit'
  }
}
