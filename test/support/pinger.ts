/** A thread that asks /livez again and again and remembers the longest wait, so that neither sender nor target in the test's own thread count. */
declare const self: Worker

let socket: Bun.Socket | null = null
let longestMs = 0
let sentAt = 0
let isWaiting = false

const ask = () => {
  sentAt = performance.now()
  isWaiting = true
  socket?.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
}
const heard = () => {
  if (!isWaiting) return
  isWaiting = false
  longestMs = Math.max(longestMs, performance.now() - sentAt)
  setTimeout(ask, 2)
}

self.onmessage = async ({ data }: MessageEvent<{ port: number } | 'begin' | 'end'>) => {
  if (typeof data === 'object') {
    socket = await Bun.connect({ hostname: '127.0.0.1', port: data.port, socket: { data: heard } })
    ask()
  }
  if (data === 'begin') {
    longestMs = 0
    sentAt = performance.now()
  }
  self.postMessage(isWaiting ? Math.max(longestMs, performance.now() - sentAt) : longestMs)
}
