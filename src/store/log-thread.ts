/** The thread that moves the log, as those see it that order its work; it must never keep the process alive. */
import type { Answer, Order } from './checkpoint-thread.ts'

export interface LogThread {
  /** One at a time. Null: the thread is gone. */
  order(order: Order): Promise<Answer | null>
  /** Whatever it is doing. */
  end(): void
}

// In the executable the thread's file is where the build puts a second entry point: at its place below `src`.
const isBuilt = /\$bunfs|~BUN/.test(import.meta.url)
const place = isBuilt ? './store/checkpoint-thread.ts' : new URL('./checkpoint-thread.ts', import.meta.url).href

/** Begins a thread; `gone` when it ended without being asked to. */
export const startLogThread = (gone: () => void): LogThread => {
  const worker = new Worker(place, { smol: true })
  worker.unref()
  let waiting: ((answer: Answer | null) => void) | null = null
  let isOver = false
  const tell = (answer: Answer | null) => {
    const told = waiting
    waiting = null
    told?.(answer)
  }
  const over = () => {
    if (isOver) return
    isOver = true
    tell(null)
    gone()
  }
  worker.onmessage = ({ data }: MessageEvent<Answer>) => tell(data)
  worker.onerror = over
  worker.addEventListener('close', over)
  return {
    order: (order) =>
      new Promise((resolve) => {
        if (isOver) return resolve(null)
        waiting = resolve
        worker.postMessage(order)
      }),
    end() {
      isOver = true
      tell(null)
      worker.terminate()
    },
  }
}
