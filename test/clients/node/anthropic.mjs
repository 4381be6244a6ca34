/** The Anthropic SDK for JavaScript on /v1/messages. */
import Anthropic from '@anthropic-ai/sdk'
import { VERSION } from '@anthropic-ai/sdk/version'
import { base, limitMs, models, pixel, run, signsOfLife, weather } from './harness.mjs'

const anthropic = new Anthropic({ baseURL: base, apiKey: 'any', maxRetries: 0 })
/** What the SDK can be told with each call: whom to obey, and how long to wait for headers. */
const optionsOf = ({ signal, impatient }) => ({
  signal,
  ...(impatient && { timeout: limitMs, headers: signsOfLife }),
})
const ask = (model, content, more = {}) => ({
  model,
  max_tokens: 2_000,
  messages: [{ role: 'user', content }],
  ...more,
})
const { name, description, parameters } = weather
const tools = [{ name, description, input_schema: parameters }]

await run({
  client: '@anthropic-ai/sdk (npm)',
  version: VERSION,
  cases: {
    chat: () => anthropic.messages.create(ask(models.chat, 'What is the capital of France?')),
    tools: () => anthropic.messages.create(ask(models.chat, 'What is the weather in Paris?', { tools })),
    thinking: () =>
      anthropic.messages.create(
        ask(models.think, 'Say hello', { thinking: { type: 'enabled', budget_tokens: 1_024 } }),
      ),
    images: () =>
      anthropic.messages.create(
        ask(models.see, [
          { type: 'text', text: 'What is this?' },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: pixel } },
        ]),
      ),
    list: async () => (await anthropic.models.list()).data,
    show: () => anthropic.models.retrieve(models.chat),
    'no-messages': () => anthropic.messages.create({ model: models.chat, max_tokens: 10, messages: [] }),
  },
  whole: async ({ model, prompt, ...how }) =>
    (await anthropic.messages.create(ask(model, prompt), optionsOf(how))).content,
  streams: {
    '/v1/messages': async ({ model, prompt, onFirst, ...how }) => {
      const events = await anthropic.messages.create(ask(model, prompt, { stream: true }), optionsOf(how))
      const seen = { said: '', stopped: false, usage: null }
      let begun = false
      for await (const event of events) {
        if (!begun) await onFirst?.()
        begun = true
        if (event.type === 'content_block_delta') seen.said += event.delta.text ?? ''
        if (event.type === 'message_delta') seen.usage = event.usage
        if (event.type === 'message_stop') seen.stopped = true
      }
      return seen
    },
    '/v1/messages helper': async ({ model, prompt, onFirst, ...how }) => {
      const stream = anthropic.messages.stream(ask(model, prompt), optionsOf(how))
      if (onFirst) stream.once('streamEvent', () => void onFirst())
      return stream.finalMessage()
    },
  },
})
