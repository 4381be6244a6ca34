/** The OpenAI SDK for JavaScript on /v1. */
import OpenAI from 'openai'
import { VERSION } from 'openai/version'
import { base, impatientFetch, models, person, pixel, run, signsOfLife, weather } from './harness.mjs'

const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'any', maxRetries: 0 })
const user = (content) => [{ role: 'user', content }]
// The SDK's own timeout bounds a whole answer, its body too; what Node's fetch bears is another matter.
const impatiently = openai.withOptions({ fetch: impatientFetch, defaultHeaders: signsOfLife })
const clientFor = ({ impatient }) => (impatient ? impatiently : openai)
const chat = (model, content, more = {}, how = {}) =>
  clientFor(how).chat.completions.create({ model, messages: user(content), ...more }, { signal: how.signal })

const consume = async (started, { onFirst }, read) => {
  const seen = { said: '', reason: null, usage: null }
  let begun = false
  for await (const event of await started) {
    if (!begun) await onFirst?.()
    begun = true
    read(event, seen)
  }
  return seen
}

await run({
  client: 'openai (npm)',
  version: VERSION,
  cases: {
    chat: () => chat(models.chat, 'What is the capital of France?'),
    completion: () => openai.completions.create({ model: models.chat, prompt: 'What is 2 + 3?' }),
    response: () => openai.responses.create({ model: models.chat, input: 'What is 2 + 3?' }),
    tools: () =>
      chat(models.chat, 'What is the weather in Paris?', { tools: [{ type: 'function', function: weather }] }),
    structured: () =>
      chat(models.chat, 'Tell me of Ann', {
        response_format: { type: 'json_schema', json_schema: { name: 'person', schema: person } },
      }),
    thinking: () => chat(models.think, 'Say hello', { reasoning_effort: 'high' }),
    images: () =>
      chat(models.see, [
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${pixel}` } },
      ]),
    embeddings: () => openai.embeddings.create({ model: models.embed, input: ['one', 'two'] }),
    list: async () => (await openai.models.list()).data,
    show: () => openai.models.retrieve(models.chat),
    'show-unknown': () => openai.models.retrieve('nope'),
    'no-messages': () => chat(models.chat, 'x', { messages: [] }),
  },
  whole: async (how) => (await chat(how.model, how.prompt, {}, how)).choices[0].message.content,
  streams: {
    '/v1/chat/completions': (how) =>
      consume(
        chat(how.model, how.prompt, { stream: true, stream_options: { include_usage: true } }, how),
        how,
        ({ choices, usage }, seen) => {
          seen.said += choices[0]?.delta.content ?? ''
          seen.reason = choices[0]?.finish_reason ?? seen.reason
          seen.usage = usage ?? seen.usage
        },
      ),
    '/v1/completions': (how) =>
      consume(
        clientFor(how).completions.create(
          { model: how.model, prompt: how.prompt, stream: true },
          { signal: how.signal },
        ),
        how,
        ({ choices }, seen) => {
          seen.said += choices[0]?.text ?? ''
          seen.reason = choices[0]?.finish_reason ?? seen.reason
        },
      ),
    '/v1/responses': (how) =>
      consume(
        clientFor(how).responses.create({ model: how.model, input: how.prompt, stream: true }, { signal: how.signal }),
        how,
        (event, seen) => {
          if (event.type === 'response.output_text.delta') seen.said += event.delta
          if (event.type === 'response.completed') {
            seen.reason = 'completed'
            seen.usage = event.response.usage
          }
        },
      ),
  },
})
