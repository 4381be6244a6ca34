/** /v1/audio/transcriptions: multipart in, one JSON line out, with Ollama's odd content type; it must never listen to the audio. */

import { capabilityProblem } from './ability.ts'
import { goJson, NDJSON } from './answer.ts'
import { generate } from './generation.ts'
import { plainTask, refuseEarly } from './openai-body.ts'
import { type Call, chatNames, type Handler, modelOrRefuse, refuse } from './stage.ts'
import type { Voice } from './voice.ts'

const transcriptVoice: Voice = {
  streamHeaders: [NDJSON],
  wholeHeaders: [NDJSON],
  piece: () => [],
  finish: ({ text }) => [`${goJson({ text: text.trim() })}\n`],
  breakOff: (error) => [`${goJson({ error })}\n`],
  whole: ({ text }) => `${goJson({ text: text.trim() })}\n`,
  loaded: () => '',
  debug: () => '',
}

const readForm = async ({ exchange }: Call): Promise<Awaited<ReturnType<Response['formData']>> | null> => {
  const { headers, body } = exchange.request
  try {
    return await new Response(Buffer.from(body), {
      headers: { 'content-type': headers.get('content-type') ?? '' },
    }).formData()
  } catch (error) {
    // A body that is not multipart is the client's mistake, whatever the parser calls it.
    if (error instanceof Error) return null
    throw error
  }
}

/** POST /v1/audio/transcriptions. Markers may stand in the `prompt` field. */
export const transcriptions: Handler = async (stage, call) => {
  const form = await readForm(call)
  if (!form)
    return refuseEarly(stage, call, "failed to parse multipart form: request Content-Type isn't multipart/form-data")
  const field = (name: string): string => {
    const value = form.get(name)
    return typeof value === 'string' ? value : ''
  }
  const asked = field('model')
  if (asked === '') return refuseEarly(stage, call, 'model is required')
  if (!form.has('file')) return refuseEarly(stage, call, 'file is required: http: no such file')
  const model = modelOrRefuse(stage, call, asked, chatNames)
  if (!model) return
  const problem = capabilityProblem(model, asked, 'chat', [])
  if (problem !== null) return refuse(stage, call, 400, problem)
  const prompt = field('prompt')
  // Ollama streams inside and flushes: the answer is chunked.
  const task = plainTask(model, {
    // Whatever it is given to hear says the same.
    prompt: prompt === '' ? 'Transcribe the audio.' : prompt,
    before: '',
    streaming: true,
    thinks: false,
    tool: null,
    format: null,
    toolResult: null,
    numPredict: -1,
    debugRender: false,
  })
  return generate(stage, call, task, transcriptVoice)
}
