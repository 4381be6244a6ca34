/** The settings of the fallback: what cannot be meant stops the start in one sentence. */
import { expect, test } from 'bun:test'
import { configOf, problemsOf } from '../../support/settings.ts'

const set = { FOREMAN_FALLBACK_URL: 'laptop', FOREMAN_FALLBACK_MODELS: '*=same' }

test('unset it is off, and what is left out has the documented defaults', () => {
  expect(configOf({})).toMatchObject({ fallbackUrl: null, fallbackAfterMs: 5_000, fallbackConcurrency: 1 })
  expect(configOf(set)).toMatchObject({
    fallbackUrl: 'http://laptop:11434',
    fallbackModels: { rest: { kind: 'same' } },
  })
})

test.each([
  [{ ...set, FOREMAN_FALLBACK_URL: 'http://127.0.0.1:11434' }, 'that is the target itself'],
  [{ ...set, FOREMAN_FALLBACK_URL: 'http://localhost:11434/' }, 'that is the target itself'],
  [{ ...set, FOREMAN_FALLBACK_URL: 'http://GPU:11434', FOREMAN_OLLAMA_URL: 'gpu' }, 'that is the target itself'],
  [{ ...set, FOREMAN_FALLBACK_URL: 'http://[::1]:8080' }, "that is this foreman's own address"],
  [{ FOREMAN_FALLBACK_URL: 'laptop' }, 'FOREMAN_FALLBACK_MODELS is not set'],
  [{ FOREMAN_FALLBACK_MODELS: '*=same' }, 'FOREMAN_FALLBACK_URL is not set'],
  [{ ...set, FOREMAN_FALLBACK_CLIENTS: 'alcie=never', FOREMAN_TOKENS: 'alice=one' }, 'is about "alcie"'],
  [{ ...set, FOREMAN_FALLBACK_MODELS: 'a=b,a=c' }, '"a" is given twice'],
  [{ ...set, FOREMAN_FALLBACK_MODELS: 'a' }, '"a" is not a pair'],
  [{ ...set, FOREMAN_FALLBACK_MODELS: 'a=b c' }, '"a=b c" is not a pair'],
  [{ ...set, FOREMAN_FALLBACK_CLIENTS: 'alice=maybe' }, '"alice=maybe" is not a pair'],
])('%j is refused', (env, words) => {
  const problems = problemsOf(env)
  expect(problems.length).toBe(1)
  expect(problems[0]).toContain(words)
})
