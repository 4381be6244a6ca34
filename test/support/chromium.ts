/** A real headless Chromium that opens pages and runs scripts in them; it must never reach beyond this machine. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { within } from './patience.ts'

const candidates = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Where it is installed; null: it is not. */
export const chromiumPath = (): string | null => candidates.find((path) => existsSync(path)) ?? null

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
]

export interface Browser {
  /** Opens `url` and gives what `script`, the body of an async function, returns there. */
  run(url: string, script: string): Promise<unknown>
  stop(): Promise<void>
}

/** Reads the line that says where the debugger listens. */
const debuggerUrl = async (stderr: ReadableStream<Uint8Array>): Promise<string> => {
  const reader = stderr.getReader()
  let said = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`chromium ended: ${said}`)
    said += new TextDecoder().decode(value)
    const [, url] = /DevTools listening on (ws:\S+)/.exec(said) ?? []
    if (url === undefined) continue
    // A full pipe would stop it.
    void (async () => {
      while (!(await reader.read()).done);
    })()
    return url
  }
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly sessionId?: string
  readonly result?: Record<string, unknown>
  readonly error?: { readonly message: string }
}

/** A browser in which these names are this machine. */
export const startChromium = async (names: readonly string[]): Promise<Browser> => {
  const path = chromiumPath()
  if (path === null) throw new Error('chromium is not installed')
  const profile = mkdtempSync(join(tmpdir(), 'foreman-chromium-'))
  const rules = names.map((name) => `MAP ${name} 127.0.0.1`).join(', ')
  const child = Bun.spawn(
    [path, ...flags, `--user-data-dir=${profile}`, `--host-resolver-rules=${rules}`, 'about:blank'],
    { stdout: 'ignore', stderr: 'pipe' },
  )
  const socket = new WebSocket(await within(30_000, 'chromium to start', debuggerUrl(child.stderr)))
  await new Promise((opened) => socket.addEventListener('open', opened))
  const waiting = new Map<number, (message: Message) => void>()
  let heard: (message: Message) => void = () => undefined
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as Message
    if (message.id === undefined) heard(message)
    else waiting.get(message.id)?.(message)
  })
  let last = 0
  const send = async (method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> => {
    const id = ++last
    const answer = new Promise<Message>((resolve) => waiting.set(id, resolve))
    socket.send(JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) }))
    const { result, error } = await within(30_000, method, answer)
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }
  return {
    async run(url, script) {
      const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
      const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true })
      const session = String(sessionId)
      await send('Page.enable', {}, session)
      const loaded = new Promise<void>((resolve) => {
        heard = (message) => {
          if (message.method === 'Page.loadEventFired' && message.sessionId === session) resolve()
        }
      })
      await send('Page.navigate', { url }, session)
      await within(30_000, `${url} to load`, loaded)
      const expression = `(async () => { ${script} })()`
      const options = { expression, awaitPromise: true, returnByValue: true }
      const { result, exceptionDetails } = await send('Runtime.evaluate', options, session)
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
      await send('Target.closeTarget', { targetId })
      return (result as { value?: unknown }).value
    },
    async stop() {
      socket.close()
      child.kill()
      await child.exited
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
