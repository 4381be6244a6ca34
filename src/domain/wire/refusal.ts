/** Error bodies in the shapes that Ollama's clients parse, one per flavour; it must never carry details of foreman itself. */
import type { Flavour } from './routes.ts'

const openaiTypes: Record<number, string> = { 400: 'invalid_request_error', 404: 'not_found_error' }

const anthropicTypes: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  529: 'overloaded_error',
}

/** The OpenAI error object: `api_error` for all but 400 and 404, as Ollama sends it. */
export const openaiError = (status: number, message: string) => ({
  message,
  type: openaiTypes[status] ?? 'api_error',
  param: null,
  code: null,
})

/** The Anthropic error type for a status. */
export const anthropicErrorType = (status: number): string => anthropicTypes[status] ?? 'api_error'

/** The whole error body as JSON text; `requestId` is used by the Anthropic shape alone. */
export const errorBody = (flavour: Flavour, status: number, message: string, requestId = 'req_foreman'): string => {
  switch (flavour) {
    case 'native':
      return JSON.stringify({ error: message })
    case 'openai':
    case 'responses':
      return JSON.stringify({ error: openaiError(status, message) })
    case 'anthropic':
      return JSON.stringify({
        type: 'error',
        error: { type: anthropicErrorType(status), message },
        request_id: requestId,
      })
    default:
      return flavour satisfies never
  }
}

/** The message inside an error body of any flavour, or null when there is none. */
export const errorText = (body: Uint8Array | string): string | null => {
  try {
    const parsed: unknown = JSON.parse(typeof body === 'string' ? body : new TextDecoder().decode(body))
    if (typeof parsed !== 'object' || parsed === null || !('error' in parsed)) return null
    const { error } = parsed
    if (typeof error === 'string') return error
    if (typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string')
      return error.message
    return null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
