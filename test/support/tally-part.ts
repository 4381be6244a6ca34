/** A whole optional part: what one costs to add is this file and one line in a list; it counts jobs, and greets the target in quiet moments. */
import type { SettingRows } from '../../src/domain/setting.ts'
import { withKeepAlive } from '../../src/domain/wire/call-body.ts'
import { definePart } from '../../src/engine/part.ts'

const settings = {
  tallyName: {
    variable: 'FOREMAN_TALLY_NAME',
    fallback: 'tally',
    meaning: 'what the tally is called',
    allowed: 'a word',
    parse: (text) => ({ kind: 'ok', value: text }),
  },
} satisfies SettingRows

export const tally = definePart({
  name: 'tally',
  settings,
  create: async ({ bus, notice, admission, quiet, target }) => {
    let done = 0
    const halt = new AbortController()
    admission.use(({ call, body }) => ({ call, body: withKeepAlive(body, call, '"7m"') }))
    const end = bus.on('job_done', 'tally', ({ model }) => {
      done++
      notice('info', 'tallied', { model, done })
    })
    const greet = () => quiet.run((signal) => target.ask('/api/version', { signal }), halt.signal)
    return {
      start: () => void greet().then(({ kind }) => notice('info', 'greeted', { kind })),
      async stop() {
        halt.abort()
        end()
      },
      status: () => ({ done }),
      metrics: () => [
        { name: 'foreman_tallied_total', help: 'Jobs tallied', type: 'counter', samples: [{ value: done }] },
      ],
    }
  },
})
