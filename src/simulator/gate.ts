/** CORS and the Host check, in Ollama's order (wire document, section 8); it must never look at a body. */
import { hostname, networkInterfaces } from 'node:os'
import type { Exchange } from './exchange.ts'
import type { Header } from './framing.ts'

const SAFE_ORIGIN =
  /^(https?:\/\/(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?|(app|file|tauri|vscode-webview|vscode-file):\/\/.*)$/

const ALLOW_HEADERS =
  'Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,' +
  'X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,' +
  'X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout'

const preflight = (origin: string): Header[] => [
  ['Access-Control-Allow-Headers', ALLOW_HEADERS],
  ['Access-Control-Allow-Methods', 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS'],
  ['Access-Control-Allow-Origin', origin],
  ['Access-Control-Max-Age', '43200'],
  ['Vary', 'Origin'],
  ['Vary', 'Access-Control-Request-Method'],
  ['Vary', 'Access-Control-Request-Headers'],
]

const PRIVATE_IP = /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|0\.0\.0\.0$|::1?$|f[cd][0-9a-f]{2}:)/i
const IPV4 = /^\d+\.\d+\.\d+\.\d+$/

const withoutPort = (host: string): string => {
  if (host.startsWith('[')) return host.slice(1, host.indexOf(']'))
  const colon = host.lastIndexOf(':')
  return colon >= 0 && host.indexOf(':') === colon ? host.slice(0, colon) : host
}

/** Whether a simulator on loopback answers to this Host header. */
const isAllowedHost = (header: string, own: ReadonlySet<string>): boolean => {
  const host = withoutPort(header)
  if (IPV4.test(host) || host.includes(':')) return PRIVATE_IP.test(host) || own.has(host)
  return host === '' || own.has(host) || /\.(localhost|local|internal)$/.test(host)
}

/** Lets a request in (true), or has answered it. CORS comes first, as in Ollama. */
export type Gate = (exchange: Exchange) => boolean

/** The gate of a simulator that listens on `listenHost`. */
export const createGate = (listenHost: string): Gate => {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? [])
  const own = new Set(['localhost', hostname(), ...addresses])
  const checksHost = listenHost === 'localhost' || PRIVATE_IP.test(listenHost) === listenHost.startsWith('127.')

  return (exchange) => {
    const { headers, method } = exchange.request
    const host = headers.get('host') ?? ''
    const origin = headers.get('origin')
    if (origin !== undefined && origin !== '' && origin !== `http://${host}` && origin !== `https://${host}`) {
      if (!SAFE_ORIGIN.test(origin)) {
        exchange.send(403, [], '')
        return false
      }
      if (method === 'OPTIONS') {
        exchange.send(204, preflight(origin), '')
        return false
      }
      exchange.extraHeaders.push(['Access-Control-Allow-Origin', origin], ['Vary', 'Origin'])
    }
    if (!checksHost || isAllowedHost(host, own)) return true
    exchange.send(403, [], '')
    return false
  }
}
