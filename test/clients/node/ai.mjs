/** The AI SDK with its Ollama provider. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { embedMany, generateText, jsonSchema, Output, streamText, tool } from 'ai'
import { createOllama } from 'ai-sdk-ollama'
import { base, impatientFetch, models, person, pixel, run, signsOfLife, weather } from './harness.mjs'

const { version } = JSON.parse(readFileSync(createRequire(import.meta.url).resolve('ai/package.json'), 'utf8'))
const ollama = createOllama({ baseURL: base })
const impatientOllama = createOllama({ baseURL: base, headers: signsOfLife, fetch: impatientFetch })
const modelFor = ({ model, impatient }) => (impatient ? impatientOllama : ollama)(model)
const told = ({ text, reasoningText, toolCalls, finishReason, usage }) => ({
  text,
  reasoningText,
  toolCalls,
  finishReason,
  usage,
})
const ask = async (model, more) => told(await generateText({ model: ollama(model), maxRetries: 0, ...more }))

await run({
  client: 'ai with ai-sdk-ollama (npm)',
  version,
  cases: {
    chat: () => ask(models.chat, { prompt: 'What is the capital of France?' }),
    tools: () =>
      ask(models.chat, {
        prompt: 'What is the weather in Paris?',
        tools: {
          [weather.name]: tool({ description: weather.description, inputSchema: jsonSchema(weather.parameters) }),
        },
      }),
    structured: async () => {
      const output = Output.object({ schema: jsonSchema(person) })
      const answer = await generateText({ model: ollama(models.chat), maxRetries: 0, output, prompt: 'Tell me of Ann' })
      return answer.output
    },
    thinking: () => ask(models.think, { prompt: 'Say hello', providerOptions: { ollama: { think: true } } }),
    images: () =>
      ask(models.see, {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What is this?' },
              { type: 'file', mediaType: 'image/png', data: pixel },
            ],
          },
        ],
      }),
    embeddings: async () =>
      (await embedMany({ model: ollama.embedding(models.embed), values: ['one', 'two'], maxRetries: 0 })).embeddings,
  },
  whole: async ({ prompt, ...how }) => (await generateText({ model: modelFor(how), prompt, maxRetries: 0 })).text,
  streams: {
    '/api/chat': async ({ prompt, signal, onFirst, ...how }) => {
      const stream = streamText({
        model: modelFor(how),
        prompt,
        maxRetries: 0,
        abortSignal: signal,
        // An error is a part of the stream here; by default it is printed as well.
        onError: () => undefined,
      })
      let said = ''
      let reason = null
      let begun = false
      for await (const part of stream.fullStream) {
        if (part.type === 'error') throw part.error
        if (part.type === 'text-delta') {
          if (!begun) await onFirst?.()
          begun = true
          said += part.text
        }
        if (part.type === 'finish') reason = part.finishReason
      }
      return { said, reason }
    },
  },
})
