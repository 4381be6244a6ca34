/** A signal made of nothing but itself: an AbortController and its signal cost a short request more than its answer does. */

export interface StopListener {
  handleEvent(): void
}

type Told = StopListener | (() => void)

/** As much of an AbortSignal as it takes to give something up; every AbortSignal is one. */
export interface StopSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: Told): void
  removeEventListener(type: 'abort', listener: Told): void
}

const tell = (listener: Told) => {
  if (typeof listener === 'function') listener()
  else listener.handleEvent()
}

/** One that has not been given. A listener must not throw: those after it would not be told. */
export class Stop implements StopSignal {
  aborted = false
  /** Mostly there is one at a time. */
  #listener: Told | null = null
  #others: Told[] | null = null

  addEventListener(_: 'abort', listener: Told): void {
    if (this.#listener === null) this.#listener = listener
    else if (this.#others === null) this.#others = [listener]
    else this.#others.push(listener)
  }

  removeEventListener(_: 'abort', listener: Told): void {
    if (this.#listener === listener) this.#listener = null
    else if (this.#others !== null) this.#others = this.#others.filter((other) => other !== listener)
  }

  /** Only the first one counts. */
  abort(): void {
    if (this.aborted) return
    this.aborted = true
    const others = this.#others ?? []
    if (this.#listener !== null) tell(this.#listener)
    for (const listener of others) if (this.#others?.includes(listener)) tell(listener)
  }
}
