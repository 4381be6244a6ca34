/** What a managed Ollama writes is bounded, also while it writes, and its last words are its own. */
import { expect, test } from 'bun:test'
import { closeSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createOutputFile } from '../../../src/parts/manager/output-file.ts'
import { createLeftovers } from '../../support/leftovers.ts'

const { directory } = createLeftovers()

test('it is cut while a child appends, and the child goes on', () => {
  const place = directory()
  const output = createOutputFile(place)
  const fd = output.open()
  const megabyte = `${'x'.repeat(1_048_575)}\n`
  for (let mb = 0; mb < 17; mb++) writeSync(fd, megabyte)
  output.bound()
  expect(statSync(join(place, 'ollama.log')).size).toBe(0)
  writeSync(fd, 'Error: out of memory\n[GIN] 200 GET /api/tags\n\n')
  expect(output.lastWords()).toBe('Error: out of memory')
  closeSync(fd)
})

test('prompts, which Ollama writes when it is debugged, are no last words, however long', () => {
  const output = createOutputFile(directory())
  const fd = output.open()
  writeSync(fd, 'time=1 level=ERROR msg="no memory"\ntime=2 level=DEBUG msg="chat request" prompt="my secret"\n')
  expect(output.lastWords()).toBe('time=1 level=ERROR msg="no memory"')
  writeSync(fd, `time=3 level=DEBUG msg="chat request" prompt="${'secret '.repeat(1_000)}"\n`)
  expect(output.lastWords()).toBe('')
  closeSync(fd)
})

test("a large one of before is set aside, and what an earlier one said is not this one's", () => {
  const place = directory()
  const output = createOutputFile(place)
  const first = output.open()
  writeSync(first, 'early\n')
  closeSync(first)
  closeSync(output.open())
  expect(output.lastWords()).toBe('')
  const second = output.open()
  writeSync(second, 'y'.repeat(17 * 1_048_576))
  closeSync(second)
  closeSync(output.open())
  expect(statSync(join(place, 'ollama.log.1')).size).toBeGreaterThan(16 * 1_048_576)
  expect(statSync(join(place, 'ollama.log')).size).toBe(0)
})
