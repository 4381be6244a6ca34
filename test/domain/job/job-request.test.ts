/** What a submitted body asks for: which route, where to report and of what; and what is refused in which words. */
import { describe, expect, test } from 'bun:test'
import { readJobRequest } from '../../../src/domain/job/job-request.ts'

const read = (body: object | string) =>
  readJobRequest(new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body)))

const requestOf = (body: object | string) => {
  const found = read(body)
  if (found.kind !== 'request') throw new Error(found.detail)
  return { ...found.request, text: new TextDecoder().decode(found.request.body) }
}
const detailOf = (body: object) => {
  const found = read(body)
  return found.kind === 'problem' ? [found.code, found.detail] : ['accepted', '']
}

const chat = { model: 'a', messages: [{ role: 'user', content: 'hi' }] }
const url = 'http://nas/hook'

const words = (text: string) => text.trim().split(/\s+/)
const ofOllama = words(`
  prompt stream format options keep_alive think tools images suffix system template context raw input truncate
  dimensions shift logprobs top_logprobs width height steps _debug_render_only
`)
const ofOthers = words(`
  audio background best_of container conversation echo encoding_format frequency_penalty function_call functions
  include instructions logit_bias max_completion_tokens max_output_tokens max_tokens max_tool_calls mcp_servers metadata
  modalities n parallel_tool_calls prediction presence_penalty previous_response_id prompt_cache_key prompt_cache_retention
  reasoning reasoning_effort response_format safety_identifier seed service_tier stop stop_sequences store stream_options
  temperature text thinking tool_choice top_k top_p truncation user verbosity web_search_options
`)

describe('where and of what it is reported', () => {
  test.each([
    [{}, null, null],
    [{ state_webhook_url: null }, null, null],
    [{ state_webhook_url: '' }, null, null],
    [{ state_webhook_url: url }, url, null],
    [{ state_webhook_url: url, state_webhook_events: null }, url, null],
    [{ state_webhook_url: url, state_webhook_events: 'all' }, url, null],
    [{ state_webhook_url: url, state_webhook_events: 'final' }, url, ['done', 'failed', 'cancelled']],
    [{ state_webhook_url: url, state_webhook_events: ['done', 'queued', 'done'] }, url, ['queued', 'done']],
    [
      { state_webhook_url: url, state_webhook_events: ['cancelled', 'failed', 'done', 'working', 'loading', 'queued'] },
      url,
      null,
    ],
    [{ State_Webhook_URL: url, STATE_WEBHOOK_EVENTS: 'final' }, url, ['done', 'failed', 'cancelled']],
  ])('%j', (members, webhookUrl, webhookStates) => {
    const request = requestOf({ ...chat, ...members })
    expect(request).toMatchObject({ webhookUrl, webhookStates })
    expect(request.text).toBe(`{${JSON.stringify(chat).slice(1, -1)},"stream":true}`)
  })

  test.each([
    [{ state_webhook_url: 5 }, 'state_webhook_url is a JSON number: expected a URL'],
    [
      { state_webhook_events: 'final' },
      'state_webhook_events is there without state_webhook_url: where should they go?',
    ],
    [
      { state_webhook_url: url, state_webhook_events: 7 },
      'state_webhook_events is a JSON number: expected "final", "all" or a list of states',
    ],
    [
      { state_webhook_url: url, state_webhook_events: 'finals' },
      'state_webhook_events is "finals": expected "final", "all" or a list of states',
    ],
    [
      { state_webhook_url: url, state_webhook_events: [] },
      'state_webhook_events is empty: leave it out to be told of every transition',
    ],
    [
      { state_webhook_url: url, state_webhook_events: ['done', 'canceled'] },
      'state_webhook_events names "canceled", which is no state: did you mean "cancelled"?',
    ],
    [
      { state_webhook_url: url, state_webhook_events: ['done', {}] },
      'state_webhook_events names {}, which is no state: expected queued, loading, working, done, failed, cancelled',
    ],
  ])('%j is refused', (members, detail) => {
    expect(detailOf({ ...chat, ...members })).toEqual(['invalid', detail])
  })

  test.each([
    ['webhook_url', 'state_webhook_url'],
    ['state_webhook_uri', 'state_webhook_url'],
    ['webhook', 'state_webhook_url'],
    ['callback', 'state_webhook_url'],
    ['callbackUrl', 'state_webhook_url'],
    ['stateWebhookUrl', 'state_webhook_url'],
    ['webhook_events', 'state_webhook_events'],
    ['state_webhook_event', 'state_webhook_events'],
    ['webhook_event_filter', 'state_webhook_events'],
    ['state_webhok_url', 'state_webhook_url'],
    ['state_wbehok_ulr', 'state_webhook_url'],
    ['State_Webhok_Url', 'state_webhook_url'],
    ['state_webhok_events', 'state_webhook_events'],
    ['webhok_url', 'state_webhook_url'],
    ['webhok', 'state_webhook_url'],
    ['hook', 'state_webhook_url'],
    ['hook_url', 'state_webhook_url'],
    ['job_hooks', 'state_webhook_url'],
    ['notify_url', 'state_webhook_url'],
    ['notifyUrl', 'state_webhook_url'],
    ['notify_events', 'state_webhook_events'],
    ['on_done_url', 'state_webhook_url'],
    ['onFinish', 'state_webhook_url'],
    ['on_state_change', 'state_webhook_url'],
  ])('a member %s, whose webhook would never come, is refused with %s', (member, meant) => {
    expect(detailOf({ ...chat, [member]: url })).toEqual([
      'invalid',
      `there is no member ${member}, did you mean ${meant}?`,
    ])
  })

  test("other unknown members are the target's and pass", () => {
    const more = { logprobs: true, url: 'x', events: [], web_url: 'x', fallback_url: 'x', conversation_state: 1 }
    expect(requestOf({ ...chat, ...more }).text).toContain(JSON.stringify(more).slice(1, -1))
  })

  test('and so do all that Ollama, OpenAI and Anthropic have names for', () => {
    for (const member of [...ofOllama, ...ofOthers])
      expect([member, read({ ...chat, [member]: null }).kind]).toEqual([member, 'request'])
  })
})

describe('what it is', () => {
  test('messages that are null are none: a prompt beside them is a generate payload', () => {
    expect(requestOf({ model: 'a', messages: null, prompt: 'Why?' }).endpoint).toBe('/api/generate')
    expect(requestOf({ ...chat, prompt: null }).endpoint).toBe('/api/chat')
    expect(detailOf({ model: 'a', messages: null, prompt: null })).toEqual([
      'invalid',
      'neither messages nor prompt is there: send a chat payload or a generate payload',
    ])
  })

  test.each([[false], [true], ['false'], [0], [{}], [null]])('stream %j is ignored', (stream) => {
    const { text, call } = requestOf({ ...chat, stream })
    expect(call.stream).toBe(true)
    expect(JSON.parse(text).stream).toBe(true)
    // What the target would refuse does not reach it at all.
    if (typeof stream !== 'boolean' && stream !== null) expect(text.match(/"stream"/g)?.length).toBe(1)
  })
})
