/** What four kinds of sources say of the graphics cards, each read on its own; what a source does not say is null and never guessed. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Gpu {
  readonly source: 'nvidia-smi' | 'amdgpu' | 'ioreg' | 'ollama'
  readonly name: string
  readonly usedBytes: number | null
  readonly totalBytes: number | null
  readonly utilizationPercent: number | null
  readonly temperatureC: number | null
  readonly powerW: number | null
}

const MIB = 1024 ** 2

/** A number in a text; `[N/A]`, `[Not Supported]` and nothing are null. */
const figure = (text: string | undefined): number | null => {
  const trimmed = text?.trim() ?? ''
  return trimmed !== '' && Number.isFinite(Number(trimmed)) ? Number(trimmed) : null
}

const times = (value: number | null, factor: number): number | null => (value === null ? null : value * factor)

/** What nvidia-smi is asked for, once for as long as it runs. */
export const nvidiaArguments = (everyMs: number): readonly string[] => [
  '--query-gpu=index,name,memory.used,memory.total,utilization.gpu,temperature.gpu,power.draw',
  '--format=csv,noheader,nounits',
  `--loop-ms=${everyMs}`,
]

/** One line of it: its index and the card; null for anything else it says. */
export const parseNvidiaLine = (line: string): { readonly index: number; readonly gpu: Gpu } | null => {
  const fields = line.split(',').map((field) => field.trim())
  const index = figure(fields[0])
  if (fields.length !== 7 || index === null) return null
  const [, name = '', used, total, utilization, temperature, power] = fields
  return {
    index,
    gpu: {
      source: 'nvidia-smi',
      name,
      usedBytes: times(figure(used), MIB),
      totalBytes: times(figure(total), MIB),
      utilizationPercent: figure(utilization),
      temperatureC: figure(temperature),
      powerW: figure(power),
    },
  }
}

const textOf = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // This card does not say it.
    return undefined
  }
}

const namesIn = (path: string): readonly string[] => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** The cards that the amdgpu driver shows under /sys. */
export const readAmdgpu = (root = '/sys'): readonly Gpu[] =>
  namesIn(join(root, 'class/drm'))
    .filter((name) => /^card\d+$/.test(name))
    .sort()
    .flatMap((card) => {
      const device = join(root, 'class/drm', card, 'device')
      const total = figure(textOf(join(device, 'mem_info_vram_total')))
      if (total === null) return []
      const monitor = namesIn(join(device, 'hwmon')).map((name) => join(device, 'hwmon', name))[0] ?? device
      const product = textOf(join(device, 'product_name'))?.trim()
      return [
        {
          source: 'amdgpu',
          name: product || `amdgpu ${card}`,
          usedBytes: figure(textOf(join(device, 'mem_info_vram_used'))),
          totalBytes: total,
          utilizationPercent: figure(textOf(join(device, 'gpu_busy_percent'))),
          temperatureC: times(figure(textOf(join(monitor, 'temp1_input'))), 0.001),
          powerW: times(figure(textOf(join(monitor, 'power1_average'))), 0.000_001),
        } as const,
      ]
    })

/** What `ioreg -r -c IOGPU -d 1 -f` prints of an Apple GPU; its memory is the machine's. */
export const parseIoreg = (text: string): readonly Gpu[] => {
  const utilization = /"Device Utilization %"\s*=\s*(\d+)/.exec(text)?.[1]
  const used = /"In use system memory"\s*=\s*(\d+)/.exec(text)?.[1]
  if (utilization === undefined && used === undefined) return []
  return [
    {
      source: 'ioreg',
      name: /"model"\s*=\s*"([^"]+)"/.exec(text)?.[1] ?? 'Apple GPU',
      usedBytes: figure(used),
      totalBytes: null,
      utilizationPercent: figure(utilization),
      temperatureC: null,
      powerW: null,
    },
  ]
}

/** Where no tool says anything, the target's own /api/ps at least says how much it has put there. */
export const gpuFromPs = (psBody: Uint8Array | null): readonly Gpu[] => {
  if (psBody === null) return []
  const { models } = JSON.parse(new TextDecoder().decode(psBody)) as { models?: unknown }
  if (!Array.isArray(models) || models.length === 0) return []
  const used = models.reduce<number>((sum, model) => sum + (Number(Object(model).size_vram) || 0), 0)
  const gpu = { source: 'ollama', name: 'models of Ollama', totalBytes: null, utilizationPercent: null } as const
  return [{ ...gpu, usedBytes: used, temperatureC: null, powerW: null }]
}
