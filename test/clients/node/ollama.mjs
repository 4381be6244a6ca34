/** ollama-js, asked everything that it can ask. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ollama } from 'ollama'
import { base, impatientFetch, models, person, pixel, run, signsOfLife, weather } from './harness.mjs'

const { version } = JSON.parse(readFileSync(createRequire(import.meta.url).resolve('ollama/package.json'), 'utf8'))
const ollama = new Ollama({ host: base })
const user = (content, more = {}) => [{ role: 'user', content, ...more }]

/** Its own abort() ends no request that waits for its head: whoever wants that brings a fetch with a signal. */
const clientFor = ({ signal, impatient }) => {
  if (impatient) return new Ollama({ host: base, headers: signsOfLife, fetch: impatientFetch })
  if (signal === undefined) return ollama
  // Not AbortSignal.any: Node 20 may collect what nobody else holds.
  const mine = (url, init = {}) => {
    const both = new AbortController()
    for (const one of [init.signal, signal]) one?.addEventListener('abort', () => both.abort(one.reason))
    return fetch(url, { ...init, signal: both.signal })
  }
  return new Ollama({ host: base, fetch: mine })
}

const consume = async (started, { onFirst }, text) => {
  let said = ''
  let last = null
  for await (const part of await started) {
    if (last === null) await onFirst?.()
    said += text(part)
    last = part
  }
  return { said, done: last?.done, reason: last?.done_reason }
}

await run({
  client: 'ollama (npm)',
  version,
  cases: {
    chat: () => ollama.chat({ model: models.chat, messages: user('What is the capital of France?') }),
    generate: () => ollama.generate({ model: models.chat, prompt: 'What is 2 + 3?' }),
    tools: () =>
      ollama.chat({
        model: models.chat,
        messages: user('What is the weather in Paris?'),
        tools: [{ type: 'function', function: weather }],
      }),
    structured: () => ollama.chat({ model: models.chat, messages: user('Tell me of Ann'), format: person }),
    thinking: () => ollama.chat({ model: models.think, messages: user('Say hello'), think: true }),
    images: () => ollama.chat({ model: models.see, messages: user('What is this?', { images: [pixel] }) }),
    embeddings: () => ollama.embed({ model: models.embed, input: ['one', 'two'] }),
    list: () => ollama.list(),
    show: () => ollama.show({ model: models.chat }),
    ps: async () => (await ollama.ps()).models.map(({ name }) => name).includes(models.chat),
    create: () => ollama.create({ model: 'made', from: models.chat, system: 'Be brief.' }),
    copy: async () => {
      await ollama.copy({ source: models.chat, destination: 'copied' })
      return (await ollama.list()).models.map(({ name }) => name).sort()
    },
    delete: async () => {
      await ollama.delete({ model: 'copied' })
      await ollama.delete({ model: 'made' })
      return (await ollama.list()).models.map(({ name }) => name).sort()
    },
    'delete-unknown': () => ollama.delete({ model: 'nope' }),
  },
  whole: async (how) =>
    (await clientFor(how).chat({ model: how.model, messages: user(how.prompt), stream: false })).message.content,
  streams: {
    '/api/chat': (how) =>
      consume(
        clientFor(how).chat({ model: how.model, messages: user(how.prompt), stream: true }),
        how,
        ({ message }) => message.content,
      ),
    '/api/generate': (how) =>
      consume(
        clientFor(how).generate({ model: how.model, prompt: how.prompt, stream: true }),
        how,
        ({ response }) => response,
      ),
  },
})
