/** Debian's load generator `wrk`: one run of one fixed call, and what it measured; an answer that is not good ends the bench. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const isWrkInstalled = (): boolean => Bun.which('wrk') !== null

export interface Call {
  readonly path: string
  readonly body: unknown
}

export interface LoadOrder extends Call {
  readonly port: number
  readonly clients: number
  readonly seconds: number
}

export interface LoadResult {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly perSecond: number
  readonly calls: number
}

const UNITS_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 }

/** Keep-alive connections that ask again as soon as they have their answer. */
export const runWrk = async (order: LoadOrder): Promise<LoadResult> => {
  const { port, path, body, clients, seconds } = order
  const directory = mkdtempSync(join(tmpdir(), 'foreman-wrk-'))
  try {
    const script = join(directory, 'call.lua')
    writeFileSync(
      script,
      `wrk.method = "POST"\nwrk.path = "${path}"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[${JSON.stringify(body)}]==]\n`,
    )
    // It knows whole seconds only, and ends well when it is interrupted.
    const flags = ['-t1', `-c${clients}`, `-d${Math.ceil(seconds)}s`, '--timeout=30s', '--latency', '-s', script]
    const child = Bun.spawn(['wrk', ...flags, `http://127.0.0.1:${port}`], { stdin: 'ignore', stderr: 'inherit' })
    const timer = Number.isInteger(seconds) ? undefined : setTimeout(() => child.kill('SIGINT'), seconds * 1_000)
    const said = await new Response(child.stdout).text()
    clearTimeout(timer)
    await child.exited
    // It was not yet listening to interrupts.
    if (child.signalCode === 'SIGINT') return runWrk({ ...order, seconds: 1 })
    if (child.exitCode !== 0) throw new Error(`wrk ended badly: ${said}`)
    return resultOf(said)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const resultOf = (said: string): LoadResult => {
  const bad = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(said)?.[0]
  if (bad !== undefined) throw new Error(`wrk: ${bad}`)
  const number = (pattern: RegExp) => Number(pattern.exec(said)?.[1] ?? Number.NaN)
  const waitMs = (share: number) => {
    const [, value, unit] = new RegExp(`^ +${share}% +([\\d.]+)(us|ms|s|m)$`, 'm').exec(said) ?? []
    return Number(value) * (UNITS_MS[unit ?? ''] ?? Number.NaN)
  }
  return {
    p50Ms: waitMs(50),
    p99Ms: waitMs(99),
    perSecond: number(/Requests\/sec: +([\d.]+)/),
    calls: number(/(\d+) requests in/),
  }
}
