/** Start, idle memory and size of the executable, beside a compiled hello that does nothing. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { binaryPath, temporaryDirectory } from '../test/support/binary.ts'
import { answered, during, freePort, startForeman, startServer } from './children.ts'
import { residentBytes } from './processor.ts'
import { type Amounts, megabytes, ms, promised, type Row, told } from './row.ts'
import { median } from './statistics.ts'

const compileHello = async (directory: string): Promise<string> => {
  const output = join(directory, 'hello')
  mkdirSync(directory, { recursive: true })
  const flags = ['--compile', '--minify', '--bytecode', '--format=esm', '--outfile', output]
  const build = Bun.spawn([process.execPath, 'build', join(import.meta.dir, 'hello.ts'), ...flags], {
    cwd: directory,
    stdout: 'ignore',
    stderr: 'inherit',
  })
  if ((await build.exited) !== 0) throw new Error('bench/hello.ts does not compile')
  return output
}

interface Start {
  readonly firstAnswerMs: number
  readonly idleBytes: number
}

const startHello = async (executable: string): Promise<Start> => {
  const port = freePort()
  const startedAt = performance.now()
  const child = Bun.spawn([executable], { env: { PORT: String(port) }, stdin: 'ignore', stdout: 'ignore' })
  await answered(port, '/', child.exited)
  const firstAnswerMs = performance.now() - startedAt
  await settled()
  const idleBytes = residentBytes(child.pid)
  child.kill('SIGKILL')
  await child.exited
  return { firstAnswerMs, idleBytes }
}

const startOnce = async (targetPort: number): Promise<Start> => {
  const foreman = await startForeman(targetPort)
  await settled()
  const idleBytes = residentBytes(foreman.pid)
  await foreman.stop()
  return { firstAnswerMs: foreman.firstAnswerMs, idleBytes }
}

/** Idle memory is that of a process that has done its first poll. */
const settled = () => Bun.sleep(200)

const memory = (starts: readonly Start[]): string => megabytes(median(starts.map(({ idleBytes }) => idleBytes)))

/** Both take turns. */
export const startupRows = ({ starts }: Amounts): Promise<Row[]> =>
  during(async (keep) => {
    const directory = temporaryDirectory()
    keep({ stop: async () => directory.remove() })
    const target = keep(await startServer('target.ts'))
    const hello = await compileHello(directory.path)
    const ours: Start[] = []
    const theirs: Start[] = []
    for (let i = 0; i < starts; i++) {
      theirs.push(await startHello(hello))
      ours.push(await startOnce(target.port))
    }
    const firstMs = median(ours.map(({ firstAnswerMs }) => firstAnswerMs))
    return [
      promised('start to first answer', ms(firstMs), '< 1000 ms', firstMs < 1_000),
      told('start to first answer: hello', ms(median(theirs.map(({ firstAnswerMs }) => firstAnswerMs)))),
      told('idle memory', memory(ours)),
      told('idle memory: hello', memory(theirs)),
      told('size of the executable', megabytes(Bun.file(await binaryPath()).size)),
      told('size of the executable: hello', megabytes(Bun.file(hello).size)),
    ]
  })
