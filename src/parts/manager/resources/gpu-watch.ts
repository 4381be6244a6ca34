/** Keeps what the cards say up to date: one nvidia-smi for as long as it is watched, the other sources when they are asked; it must never leave a child behind. */
import type { Gpu } from './gpu.ts'
import { gpuFromPs, nvidiaArguments, parseIoreg, parseNvidiaLine, readAmdgpu } from './gpu.ts'

export interface GpuWatchDeps {
  readonly platform: string
  /** Where programs are looked for. */
  readonly path: string
  readonly psBody: () => Uint8Array | null
  readonly everyMs: number
  /** Another place than /sys. */
  readonly sysRoot?: string
}

const linesOf = async (stream: ReadableStream<Uint8Array>, line: (text: string) => void) => {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const text of lines) line(text)
  }
}

/** The cards of one machine; nothing runs before `start`. */
export class GpuWatch {
  readonly #deps: GpuWatchDeps
  readonly #cards = new Map<number, Gpu>()
  #nvidia: Bun.Subprocess<'ignore', 'pipe', 'ignore'> | null = null
  #ioreg: readonly Gpu[] = []
  #asking: Promise<void> | null = null

  constructor(deps: GpuWatchDeps) {
    this.#deps = deps
  }

  start(): void {
    const program = Bun.which('nvidia-smi', { PATH: this.#deps.path })
    if (program === null) return
    const child = Bun.spawn([program, ...nvidiaArguments(this.#deps.everyMs)], {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'ignore',
    })
    this.#nvidia = child
    child.unref()
    const line = (text: string) => {
      const read = parseNvidiaLine(text)
      if (read !== null) this.#cards.set(read.index, read.gpu)
    }
    // A driver that goes away takes its figures with it.
    void linesOf(child.stdout, line).finally(() => this.#cards.clear())
  }

  async stop(): Promise<void> {
    this.#nvidia?.kill()
    await this.#nvidia?.exited
    this.#nvidia = null
    await this.#asking
  }

  /** What is known now, from the best source that says anything. */
  now(): readonly Gpu[] {
    const { platform, psBody, sysRoot } = this.#deps
    if (platform === 'darwin') this.#askIoreg()
    const sources = [[...this.#cards.values()], platform === 'linux' ? readAmdgpu(sysRoot) : this.#ioreg]
    return sources.find((cards) => cards.length > 0) ?? gpuFromPs(psBody())
  }

  #askIoreg(): void {
    const program = Bun.which('ioreg', { PATH: `${this.#deps.path}:/usr/sbin` })
    if (program === null) return
    this.#asking ??= this.#readIoreg(program).finally(() => {
      this.#asking = null
    })
  }

  async #readIoreg(program: string): Promise<void> {
    const child = Bun.spawn([program, '-r', '-c', 'IOGPU', '-d', '1', '-f'], { stdout: 'pipe', stderr: 'ignore' })
    this.#ioreg = parseIoreg(await new Response(child.stdout).text())
    await child.exited
  }
}
