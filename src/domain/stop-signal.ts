/** A signal for one listener, made of nothing but itself: an AbortController and its signal cost a short request more than its answer does. */

export interface StopListener {
  handleEvent(): void
}

/** As much of an AbortSignal as it takes to give something up; every AbortSignal is one. */
export interface StopSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: StopListener): void
  removeEventListener(type: 'abort', listener: StopListener): void
}

/** One that has not been given. It must never have two listeners at once: the second one would not be told. */
export class Stop implements StopSignal {
  aborted = false
  #listener: StopListener | null = null

  addEventListener(_: 'abort', listener: StopListener): void {
    if (this.#listener !== null) throw new Error('a stop has one listener')
    this.#listener = listener
  }

  removeEventListener(_: 'abort', listener: StopListener): void {
    if (this.#listener === listener) this.#listener = null
  }

  /** Only the first one counts. */
  abort(): void {
    if (this.aborted) return
    this.aborted = true
    this.#listener?.handleEvent()
  }
}
