/** What Ollama uses: read from recorded words of four sources and from real processes, judged by rules that raise and resolve. */
import { afterEach, expect, test } from 'bun:test'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createProcesses } from '../../../src/parts/manager/processes.ts'
import { gpuFromPs, parseIoreg, parseNvidiaLine, readAmdgpu } from '../../../src/parts/manager/resources/gpu.ts'
import { GpuWatch } from '../../../src/parts/manager/resources/gpu-watch.ts'
import { Rules, type Sample } from '../../../src/parts/manager/resources/rules.ts'
import { treeOf, usageOf } from '../../../src/parts/manager/resources/usage.ts'
import { temporaryDirectory } from '../../support/store.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3
const put = (path: string, text: string) => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
const children: Bun.Subprocess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL')
    await child.exited
  }
})

test('nvidia-smi: a card, one that does not say everything, and lines that are none', () => {
  expect(parseNvidiaLine('0, NVIDIA GeForce RTX 3090, 18211, 24576, 97, 68, 342.11')).toEqual({
    index: 0,
    gpu: {
      source: 'nvidia-smi',
      name: 'NVIDIA GeForce RTX 3090',
      usedBytes: 18_211 * MIB,
      totalBytes: 24_576 * MIB,
      utilizationPercent: 97,
      temperatureC: 68,
      powerW: 342.11,
    },
  })
  expect(parseNvidiaLine('1, Tesla P40, 10, 24576, [N/A], 31, [Not Supported]')?.gpu).toMatchObject({
    utilizationPercent: null,
    powerW: null,
  })
  expect(parseNvidiaLine('NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.')).toBeNull()
})

test('amdgpu under /sys, with and without its sensors, beside cards of others', () => {
  const root = temporaryDirectory()
  const device = join(root, 'class/drm/card1/device')
  put(join(root, 'class/drm/card0/device/vendor'), '0x8086\n')
  put(join(root, 'class/drm/card1-DP-1/status'), 'connected\n')
  put(join(device, 'mem_info_vram_total'), `${16 * GIB}\n`)
  expect(readAmdgpu(root)).toMatchObject([{ source: 'amdgpu', name: 'amdgpu card1', usedBytes: null, powerW: null }])
  put(join(device, 'mem_info_vram_used'), `${5 * GIB}\n`)
  put(join(device, 'gpu_busy_percent'), '43\n')
  put(join(device, 'hwmon/hwmon3/temp1_input'), '61000\n')
  put(join(device, 'hwmon/hwmon3/power1_average'), '187000000\n')
  expect(readAmdgpu(root)).toMatchObject([
    { usedBytes: 5 * GIB, totalBytes: 16 * GIB, utilizationPercent: 43, temperatureC: 61, powerW: 187 },
  ])
})

test("ioreg's words of an Apple GPU, and Ollama's own where nothing else speaks", () => {
  const text =
    '+-o AGXAcceleratorG14X  <class AGXAcceleratorG14X>\n  {\n    "model" = "Apple M2 Max"\n    "PerformanceStatistics" = {"Device Utilization %"=37,"In use system memory"=9876543210,"Tiler Utilization %"=12}\n  }\n'
  expect(parseIoreg(text.replaceAll('%"=', '%" = ').replaceAll('memory"=', 'memory" = '))).toMatchObject([
    { source: 'ioreg', name: 'Apple M2 Max', usedBytes: 9_876_543_210, utilizationPercent: 37 },
  ])
  expect(parseIoreg(text)).toHaveLength(1)
  expect(parseIoreg('')).toEqual([])
  const ps = new TextEncoder().encode(
    JSON.stringify({
      models: [
        { size: 4, size_vram: 3 },
        { size: 2, size_vram: 2 },
      ],
    }),
  )
  expect(gpuFromPs(ps)).toMatchObject([{ source: 'ollama', usedBytes: 5 }])
  expect(gpuFromPs(null)).toEqual([])
})

test('one nvidia-smi is kept running, and nothing of it is left after the stop', async () => {
  const folder = temporaryDirectory()
  const program = join(folder, 'nvidia-smi')
  writeFileSync(
    program,
    '#!/bin/bash\necho $$ > "$0.pid"\necho "0, Card, 100, 200, 5, 40, 20.5"\necho began >&2\nexec sleep 600\n',
  )
  chmodSync(program, 0o755)
  const watch = new GpuWatch({
    platform: 'linux',
    path: `${folder}:/usr/bin:/bin`,
    psBody: () => null,
    everyMs: 1_000,
    sysRoot: folder,
  })
  watch.start()
  while (watch.now().length === 0) await new Promise((resolve) => setImmediate(resolve))
  expect(watch.now()).toMatchObject([{ name: 'Card', usedBytes: 100 * MIB }])
  const pid = Number(await Bun.file(`${program}.pid`).text())
  await watch.stop()
  expect(createProcesses().of(pid)).toBeNull()
})

test('memory and processor time are those of the whole tree, and of nobody else', async () => {
  const child = Bun.spawn(['bash', '-c', 'sleep 600 & echo ready; wait'], { stdout: 'pipe' })
  children.push(child)
  await child.stdout.getReader().read()
  const tree = treeOf(createProcesses().all(), child.pid)
  expect(tree.map(({ name }) => name).sort()).toEqual(['bash', 'sleep'])
  const usage = usageOf(createProcesses(), child.pid)
  expect(usage?.treeBytes).toBeGreaterThan(usage?.serverBytes ?? 0)
  expect(usage?.uptimeSeconds).toBeLessThan(60)
  for (const { pid, name } of tree) if (name === 'sleep') process.kill(pid, 'SIGKILL')
  expect(usageOf(createProcesses(), 4_194_300)).toBeNull()
})

test('the limit of a cgroup is the smallest from the process up, and its kills are counted', () => {
  const root = temporaryDirectory()
  put(join(root, 'proc/7/status'), 'Name:\tollama\nVmRSS:\t  1024 kB\n')
  put(join(root, 'proc/7/cgroup'), '0::/box/ollama\n')
  put(join(root, 'proc/uptime'), '1000.00 1.0\n')
  put(join(root, 'cgroup/box/memory.max'), `${8 * GIB}\n`)
  put(join(root, 'cgroup/box/ollama/memory.max'), 'max\n')
  put(join(root, 'cgroup/box/ollama/memory.events'), 'low 0\noom 3\noom_kill 2\n')
  const one = { pid: 7, parent: 1, group: 7, name: 'ollama', startTicks: 40_000, cpuTicks: 5 }
  expect(usageOf({ all: () => [one] }, 7, join(root, 'proc'), join(root, 'cgroup'))).toEqual({
    treeBytes: MIB,
    serverBytes: MIB,
    cpuTicks: 5,
    uptimeSeconds: 600,
    limitBytes: 8 * GIB,
    oomKills: 2,
  })
})

const sample = (change: Partial<Sample> = {}): Sample => ({
  atMs: 0,
  treeBytes: GIB,
  serverBytes: 100 * MIB,
  cpuTicks: 0,
  uptimeSeconds: 10_000,
  limitBytes: null,
  oomKills: 0,
  isWorking: false,
  ...change,
})

test('memory: raised over the limit, resolved a tenth under it; a cgroup counts at nine tenths', () => {
  const rules = new Rules(6 * GIB)
  const at = (treeBytes: number) => rules.judge(sample({ treeBytes })).memory
  expect([5.9, 6.1, 5.5, 5.3, 5.9].map((gib) => at(gib * GIB) !== null)).toEqual([false, true, true, false, false])
  const boxed = new Rules(0)
  expect(boxed.judge(sample({ treeBytes: 7.5 * GIB, limitBytes: 8 * GIB })).memory).toContain('7.2 GiB are allowed')
  expect(boxed.judge(sample({ treeBytes: 99 * GIB })).memory).toBeNull()
})

test('a leak is half more of the server alone within a day, not what a load needs', () => {
  const HOUR = 3_600_000
  const run = (grow: (hour: number) => number) => {
    const rules = new Rules(0)
    return Array.from(
      { length: 30 },
      (_, hour) =>
        rules.judge(sample({ atMs: hour * HOUR, uptimeSeconds: 100 + hour * 3_600, serverBytes: grow(hour) })).leak,
    )
  }
  expect(run(() => 400 * MIB).every((said) => said === null)).toBe(true)
  // From nothing to its usual size within the first hour.
  expect(run((hour) => (hour === 0 ? 20 : 600) * MIB).every((said) => said === null)).toBe(true)
  const leaking = run((hour) => (400 + hour * 40) * MIB)
  expect(leaking[3]).toBeNull()
  expect(leaking.at(-1)).toMatch(/grew by 0\.9 GiB to 1\.5 GiB in 24 h/)
})

test('processor time without a job is trouble after five minutes, with one never; a restart begins anew', () => {
  const minutes = (isWorking: boolean, restartAt = -1) => {
    const rules = new Rules(0)
    return Array.from({ length: 8 }, (_, minute) =>
      rules.judge(
        sample({
          atMs: minute * 60_000,
          cpuTicks: minute * 5_700,
          isWorking,
          uptimeSeconds: minute >= restartAt && restartAt >= 0 ? minute : 10_000 + minute,
        }),
      ),
    )
  }
  const alone = minutes(false)
  expect(alone.map(({ cpu }) => cpu !== null)).toEqual([false, false, false, false, false, false, true, true])
  expect(alone[6]).toMatchObject({
    cpuPercent: 95,
    cpu: 'Ollama has used 95 % of a processor for 5 min although no job runs',
  })
  expect(minutes(true).every(({ cpu }) => cpu === null)).toBe(true)
  expect(minutes(false, 4).every(({ cpu }) => cpu === null)).toBe(true)
})

test('a kill of the kernel is told once', () => {
  const rules = new Rules(0)
  expect([2, 2, 3, 3].map((oomKills) => rules.judge(sample({ oomKills })).oom_killed !== null)).toEqual([
    false,
    false,
    true,
    false,
  ])
})
