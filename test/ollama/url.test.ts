/** Proves how the target's URL is read. */
import { expect, test } from 'bun:test'
import { parseTargetUrl } from '../../src/ollama/url.ts'

test.each([
  ['http://127.0.0.1:11434', '127.0.0.1', 11434, '127.0.0.1:11434', '', false],
  ['http://gpu.lan', 'gpu.lan', 80, 'gpu.lan', '', false],
  ['https://gpu.lan/', 'gpu.lan', 443, 'gpu.lan', '', true],
  ['http://gpu.lan:80', 'gpu.lan', 80, 'gpu.lan', '', false],
  ['http://[::1]:11434/ollama/', '::1', 11434, '[::1]:11434', '/ollama', false],
  ['https://GPU.lan:444/a/b', 'gpu.lan', 444, 'gpu.lan:444', '/a/b', true],
])('%s is dialled as %s port %d with Host %s and prefix %j', (text, hostname, port, authority, prefix, tls) => {
  const parsed = parseTargetUrl(text)
  expect(parsed).toMatchObject({ kind: 'endpoint', endpoint: { hostname, port, authority, prefix, tls } })
})

test.each([
  '',
  'gpu:11434',
  'ftp://gpu',
  'http://',
  'http://me:secret@gpu',
  'http://gpu/?a=1',
  'http://gpu/#a',
  'not a url',
])('%j is refused with a sentence that does not repeat it', (text) => {
  const parsed = parseTargetUrl(text)
  expect(parsed.kind).toBe('invalid')
  expect(JSON.stringify(parsed)).not.toContain('secret')
})
