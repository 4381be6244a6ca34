/** A user and password in a URL as the header they stand for. */
import type { HeaderPairs } from './wire/headers.ts'

/** The URL without them, and the header; none where the URL has none. */
export const withoutCredentials = (text: string): { readonly url: URL; readonly headers: HeaderPairs } => {
  const url = new URL(text)
  const { username, password } = url
  if (username === '' && password === '') return { url, headers: [] }
  url.username = ''
  url.password = ''
  const pair = new TextEncoder().encode(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  return { url, headers: [['Authorization', `Basic ${btoa(String.fromCharCode(...pair))}`]] }
}
