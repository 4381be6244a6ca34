/** The end of an engine: those who wait first, then what runs; nothing that was taken may be left untold. */
interface Loop {
  stop(): Promise<void>
}

interface Closing {
  close(): void
}

export interface StopDeps {
  readonly awaited: Closing
  readonly quiet: Closing
  readonly jobs: Closing
  readonly intake: { close(): Promise<void>; stop(): void }
  readonly dispatcher: { stop(graceMs: number): Promise<void> }
  readonly aside: { stop(graceMs: number): Promise<void> }
  readonly poller: Loop
  readonly janitor: Loop
  readonly hangs: { stop(): void }
  readonly pulse: { stop(): void }
  readonly unsubscribe: () => void
  /** Nobody is led elsewhere any more. */
  readonly endLeads: () => void
}

/** Ends everything, once. */
export const createStop = (deps: StopDeps) => async (graceMs: number) => {
  const { intake, dispatcher, poller, janitor } = deps
  deps.awaited.close()
  deps.unsubscribe()
  deps.endLeads()
  deps.quiet.close()
  deps.jobs.close()
  await intake.close()
  await Promise.all([dispatcher.stop(graceMs), deps.aside.stop(graceMs), poller.stop(), janitor.stop()])
  // The last job may have gone back to wait for another attempt.
  await intake.close()
  intake.stop()
  deps.hangs.stop()
  deps.pulse.stop()
}
