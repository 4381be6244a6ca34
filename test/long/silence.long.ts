/** T3 in real time: six and a half minutes of silence, past the six at which Bun's fetch gives up, and then the answer. */
import { describe, expect, test } from 'bun:test'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { figure } from '../support/figures.ts'
import { runForeman } from '../support/foreman.ts'
import { generation, seenBy } from '../support/generation-call.ts'
import { startVerbatimTarget } from '../support/verbatim-target.ts'
import { askOnce } from '../support/wire-client.ts'

const SILENCE_MS = Number(process.env['FOREMAN_TEST_SILENCE_MS'] ?? 390_000)
const LIMIT_MS = SILENCE_MS + 60_000
const minutes = (SILENCE_MS / 60_000).toFixed(1)

describe('silence that lasts longer than fetch would bear', () => {
  for (const stream of [true, false]) {
    test.concurrent(
      `before the first byte, stream ${stream}, and a call that waits behind it: both are answered`,
      async () => {
        const simulator = await startSimulator({ models: [{ name: 'tiny' }] })
        const foreman = await runForeman(simulator.url)
        try {
          const silent = askOnce(foreman.port, generation('/api/chat', { stream, prompt: `[[silent=${SILENCE_MS}]]` }))
          await simulator.waitFor(({ open }) => open === 1)
          const waiting = askOnce(foreman.port, generation('/v1/chat/completions', { stream }))
          expect(seenBy('/api/chat', stream, await silent)).toBe('done')
          expect(seenBy('/v1/chat/completions', stream, await waiting)).toBe('done')
          figure('T3', `${minutes} min of silence before the first byte, stream ${stream}: answered`)
          figure('P4', `a call that waited ${minutes} min, stream ${stream}: answered`)
        } finally {
          await foreman.stop()
          await simulator.stop()
        }
      },
      LIMIT_MS,
    )
  }

  for (const path of ['/api/chat', '/api/embed', '/api/pull'] as const) {
    test.concurrent(
      `in the middle of a stream on ${path}: the rest arrives`,
      async () => {
        const first = '{"model":"tiny","message":{"role":"assistant","content":"a"},"done":false}\n'
        const last = '{"model":"tiny","done":true}\n'
        const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n'
        const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
        const target = startVerbatimTarget(() => ({
          pieces: [Buffer.from(head + chunk(first)), SILENCE_MS, Buffer.from(`${chunk(last)}0\r\n\r\n`)],
          close: false,
        }))
        const foreman = await runForeman(target.url)
        try {
          const body = { model: path === '/api/embed' ? 'embed' : 'tiny', messages: [] }
          const text = JSON.stringify(body)
          const answer = await askOnce(
            foreman.port,
            `POST ${path} HTTP/1.1\r\nHost: x.local\r\nX-Case: silence\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
          )
          expect([answer.ending, answer.body.toString()]).toEqual(['complete', first + last])
          expect(answer.readsMs.at(-1)! - answer.readsMs[0]!).toBeGreaterThan(SILENCE_MS * 0.95)
          figure('T3', `${minutes} min of silence in the middle of ${path}: the rest arrived`)
        } finally {
          await foreman.stop()
          target.stop()
        }
      },
      LIMIT_MS,
    )
  }
})
