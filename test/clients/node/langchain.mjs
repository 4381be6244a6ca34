/** LangChain's Ollama package. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { HumanMessage } from '@langchain/core/messages'
import { ChatOllama, OllamaEmbeddings } from '@langchain/ollama'
import { base, impatientFetch, models, person, pixel, run, signsOfLife, weather } from './harness.mjs'

const path = createRequire(import.meta.url).resolve('@langchain/ollama')
const { version } = JSON.parse(readFileSync(`${path.slice(0, path.lastIndexOf('/dist/'))}/package.json`, 'utf8'))
const chat = (model, more = {}) => new ChatOllama({ baseUrl: base, model, maxRetries: 0, ...more })
const chatFor = ({ model, impatient }) => chat(model, impatient ? { headers: signsOfLife, fetch: impatientFetch } : {})
const told = ({ content, tool_calls, usage_metadata, additional_kwargs }) => ({
  content,
  tool_calls,
  usage_metadata,
  additional_kwargs,
})

await run({
  client: '@langchain/ollama (npm)',
  version,
  cases: {
    chat: async () => told(await chat(models.chat).invoke('What is the capital of France?')),
    tools: async () =>
      told(
        await chat(models.chat)
          .bindTools([{ type: 'function', function: weather }])
          .invoke('What is the weather in Paris?'),
      ),
    structured: () => chat(models.chat).withStructuredOutput(person, { method: 'jsonSchema' }).invoke('Tell me of Ann'),
    thinking: async () => told(await chat(models.think, { think: true }).invoke('Say hello')),
    images: async () => {
      const content = [
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: `data:image/png;base64,${pixel}` },
      ]
      return told(await chat(models.see).invoke([new HumanMessage({ content })]))
    },
    embeddings: () =>
      new OllamaEmbeddings({ baseUrl: base, model: models.embed, maxRetries: 0 }).embedDocuments(['one']),
  },
  whole: async ({ prompt, ...how }) => (await chatFor(how).invoke(prompt)).content,
  streams: {
    '/api/chat': async ({ prompt, signal, onFirst, ...how }) => {
      let said = ''
      let begun = false
      for await (const chunk of await chatFor(how).stream(prompt, { signal })) {
        if (!begun) await onFirst?.()
        begun = true
        said += chunk.content
      }
      return { said }
    },
  },
})
