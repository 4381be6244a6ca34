/** The two machines of the guide, run by its own configuration: compiled executables in front of two simulated Ollamas, one of which goes away. */
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Simulator, startSimulator } from '../../../src/simulator/simulator.ts'
import { spawnForeman } from '../../support/binary.ts'
import { figure } from '../../support/figures.ts'
import { createLeftovers } from '../../support/leftovers.ts'
import { eventually } from '../../support/patience.ts'

const { directory, kept, later } = createLeftovers()

const guide = readFileSync(join(import.meta.dir, '../../../docs/guide/two-machines.md'), 'utf8')

/** The variables of a block of the guide, as they stand there, but for where the servers are on this machine. */
const configured = (heading: string, places: Readonly<Record<string, string>>): Record<string, string> => {
  const block = guide.split(`## ${heading}`)[1]?.split('```text\n')[1]?.split('```')[0] ?? ''
  const pairs = [...block.matchAll(/^(FOREMAN_[A-Z_]+)=(\S+)$/gm)].map(([, name = '', value = '']) => [name, value])
  expect(pairs.length).toBeGreaterThan(3)
  const env = Object.fromEntries(pairs) as Record<string, string>
  for (const name of Object.keys(places)) expect(Object.keys(env)).toContain(name)
  return { ...env, ...places, FOREMAN_ADDR: '127.0.0.1:0' }
}

const chat = async (
  url: string,
  model: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; by: string | null; model: string | null; ms: number }> => {
  const beganMs = performance.now()
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: '[[n=3]] hi' }] })
  const response = await fetch(`${url}/api/chat`, { method: 'POST', body, headers })
  await response.text()
  const { headers: said } = response
  const [by, by_model] = [said.get('x-foreman-served-by'), said.get('x-foreman-model')]
  return { status: response.status, by, model: by_model, ms: performance.now() - beganMs }
}

const chats = (simulator: Simulator) => simulator.counters().requests['/api/chat'] ?? 0

test('a workstation that is tried first and a laptop that answers when it does not', async () => {
  const workstation = await startSimulator({ models: [{ name: 'qwen3:32b' }, { name: 'llama3.2:3b' }], loadMs: 200 })
  const laptop = await startSimulator({ models: [{ name: 'llama3.2:3b' }], loadMs: 200 })
  later(() => workstation.stop())
  later(() => laptop.stop())
  const start = async (heading: string, places: Record<string, string>) => {
    const env = configured(heading, places)
    return kept(await spawnForeman(places['FOREMAN_OLLAMA_URL'] ?? '', directory(), env)).ready()
  }
  const small = await start("The laptop's foreman", { FOREMAN_OLLAMA_URL: laptop.url })
  const url = await start("The workstation's foreman", {
    FOREMAN_OLLAMA_URL: workstation.url,
    FOREMAN_FALLBACK_URL: small,
  })

  // The triage model is there before anybody asks, and the heavy one is loaded for whoever does.
  await eventually(10_000, 'the pin to be loaded', async () => laptop.residents().length > 0 || null)
  expect(workstation.residents()).toEqual([])
  expect(await chat(url, 'qwen3:32b')).toMatchObject({ status: 200, by: 'target', model: 'qwen3:32b' })
  expect(await chat(url, 'llama3.2:3b')).toMatchObject({ status: 200, by: 'target' })
  const before = chats(workstation)

  // A cron job that must not wake anything.
  const cron = await chat(url, 'llama3.2:3b', { 'X-Foreman-Fallback': 'only' })
  expect(cron).toMatchObject({ status: 200, by: 'fallback', model: 'llama3.2:3b' })
  expect([chats(workstation), laptop.counters().loads]).toEqual([before, 1])

  workstation.fault({ kind: 'refuse' })
  const first = await chat(url, 'qwen3:32b')
  expect(first).toMatchObject({ status: 200, by: 'fallback', model: 'llama3.2:3b' })
  expect(first.ms).toBeGreaterThan(4_500)
  const next = await chat(url, 'qwen3:32b')
  expect(next).toMatchObject({ status: 200, by: 'fallback' })
  expect(next.ms).toBeLessThan(2_500)
  figure(
    'FB5',
    `the guide's two machines: the first call ${Math.round(first.ms)} ms, the next ${Math.round(next.ms)} ms`,
  )
  expect(await chat(url, 'qwen3:32b', { 'X-Foreman-Fallback': 'never', Prefer: 'wait=1' })).toMatchObject({
    status: 503,
    by: null,
  })
  const submit = async (more: object) => {
    const body = JSON.stringify({ model: 'qwen3:32b', prompt: '[[n=2]] later', ...more })
    const response = await fetch(`${url}/jobs`, { method: 'POST', body })
    return ((await response.json()) as { job_id: string }).job_id
  }
  const shown = async (id: string, wait = '') =>
    (await (await fetch(`${url}/jobs/${id}${wait}`)).json()) as Record<string, unknown>
  const [patient, anywhere] = [await submit({}), await submit({ fallback: 'auto' })]
  expect(await shown(anywhere, '?wait=20s')).toMatchObject({ state: 'done', served_by: 'fallback' })
  expect(await shown(patient)).toMatchObject({ state: 'queued' })

  // It wakes: what waited is done there, and callers are its own again.
  workstation.fault(null)
  const waiting = chat(url, 'qwen3:32b', { 'X-Foreman-Fallback': 'never' })
  expect(await waiting).toMatchObject({ status: 200, by: 'target' })
  expect(await shown(patient, '?wait=20s')).toMatchObject({ state: 'done', served_by: 'target' })
  expect(await chat(url, 'qwen3:32b')).toMatchObject({ status: 200, by: 'target' })
}, 60_000)
