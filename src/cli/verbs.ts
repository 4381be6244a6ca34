/** The table of verbs: a new one is one file and one row here; nothing is imported before its verb is asked for. */
import type { Command } from './command.ts'

export interface Verb {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<Command>
}

export const verbs: readonly Verb[] = [
  {
    name: 'serve',
    summary: 'run the daemon',
    load: async () =>
      (await import('./serve.ts')).createServeCommand(async () => {
        const [{ startForeman }, { believablePace, startSimulator }] = await Promise.all([
          import('../foreman.ts'),
          import('../simulator/simulator.ts'),
        ])
        return { startForeman, startSimulator: () => startSimulator(believablePace) }
      }),
  },
  {
    name: 'simulate',
    summary: 'run an Ollama that needs no GPU',
    load: async () => {
      const [{ createSimulateCommand }, { startSimulator }] = await Promise.all([
        import('./simulate.ts'),
        import('../simulator/simulator.ts'),
      ])
      return createSimulateCommand(startSimulator)
    },
  },
  {
    name: 'submit',
    summary: 'queue a prompt, print its job or its answer',
    load: async () => (await import('./submit.ts')).submitCommand,
  },
  { name: 'list', summary: 'list jobs, newest first', load: async () => (await import('./list.ts')).listCommand },
  { name: 'show', summary: 'show one job or its answer', load: async () => (await import('./show.ts')).showCommand },
  { name: 'wait', summary: 'wait until jobs are final', load: async () => (await import('./wait.ts')).waitCommand },
  {
    name: 'cancel',
    summary: 'take jobs out of the queue',
    load: async () => (await import('./cancel.ts')).cancelCommand,
  },
  {
    name: 'models',
    summary: 'list installed and loaded models',
    load: async () => (await import('./models.ts')).modelsCommand,
  },
  {
    name: 'ensure',
    summary: 'make sure that models are there and work',
    load: async () => (await import('./ensure.ts')).ensureCommand,
  },
  {
    name: 'status',
    summary: 'show target, queue and worker',
    load: async () => (await import('./status.ts')).statusCommand,
  },
  {
    name: 'bench',
    summary: 'measure what requests side by side gain',
    load: async () => (await import('./bench.ts')).benchCommand,
  },
  {
    name: 'watch',
    summary: "check anybody's heartbeat file",
    load: async () => (await import('./watch.ts')).watchCommand,
  },
  {
    name: 'healthcheck',
    summary: 'exit 0 when alive, 1 when not',
    load: async () => (await import('./healthcheck.ts')).healthcheckCommand,
  },
  { name: 'version', summary: 'print the version', load: async () => (await import('./version.ts')).versionCommand },
]
