/** The world that the documents' commands speak of: foreman, its target, hosts and files, made of programs in front of the real ones. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultModels, startSimulator } from '../../src/simulator/simulator.ts'
import { binaryPath } from './binary.ts'
import { runForeman } from './foreman.ts'

/** The id that the documents use. */
const DOC_ID = '01JQZX4T8M9V2K7C5N3B6D1F0G'

export interface DocsWorld {
  /** Runs shell text in an empty directory with the files that the documents name; the first command that fails ends it. */
  run(script: string): Promise<{ readonly code: number; readonly out: string }>
  stop(): Promise<void>
}

/** The documents' addresses become those of this world, and their job a real one; "$@" is what is left to run. */
const translate = `
args=()
for arg in "$@"; do
  arg=\${arg//http:\\/\\/box:8080/$URL}; arg=\${arg//box:8080/$HOST}; arg=\${arg//127.0.0.1:8080/$HOST}
  arg=\${arg//http:\\/\\/gpu-box:11434/$TARGET}
  arg=\${arg//${DOC_ID}/$JOB}; arg=\${arg//01J…/$JOB}
  [ -f "$WORLD/control" ] && arg=\${arg//127.0.0.1:11435/$(cat "$WORLD/control")}
  args+=("$arg")
done
set -- "\${args[@]}"`

/** Starts the rest of its arguments, waits for \`$word\` in what they print, and leaves the process in \`$pid\`. */
const untilSaid = `
out=$(mktemp -p "$WORLD")
"$REAL" "$@" > "$out" 2>&1 &
pid=$!
for _ in $(seq 400); do
  grep -q "$word" "$out" && break
  kill -0 $pid 2> /dev/null || break
  sleep 0.02
done
grep -q "$word" "$out" || { cat "$out" >&2; exit 1; }`

const foremanShim = `#!/bin/bash
${translate}
case "$1" in
serve)
  word='"event":"serving"'
  set -- "$@" --addr 127.0.0.1:0 --data-dir "$(mktemp -d -p "$WORLD")" --json
  ${untilSaid}
  kill -TERM $pid && wait $pid
  ;;
simulate)
  word=control_url
  set -- "$@" --addr 127.0.0.1:0 --control-port 0 --json
  ${untilSaid}
  echo $pid >> "$WORLD/pids"
  sed 's/.*"control_url":"http:\\/\\/\\([^"]*\\)".*/\\1/' "$out" > "$WORLD/control"
  ;;
cancel)
  # The job of the documents is done here; one that waits is what somebody would cancel.
  [ "$2" = "$JOB" ] && set -- cancel "$("$REAL" submit qwen3:14b 'Go on. [[n=100000]]')"
  FOREMAN_URL=$URL exec "$REAL" "$@"
  ;;
*) FOREMAN_URL=$URL exec "$REAL" "$@" ;;
esac
`

const curlShim = (curl: string) => `#!/bin/bash
${translate}
exec ${curl} -sS --fail-with-body "$@"
`

/** Files that the documents name, in the directory that their commands run in. */
const files: Record<string, string> = {
  'prompt.txt': 'Why is the sky blue?\n',
  'payload.json': '{"model":"qwen3:14b","prompt":"Why is the sky blue?"}',
  'cat.jpg': 'a cat',
  'body.json': '{"job_id":"x"}',
}

const program = (path: string, text: string): void => {
  writeFileSync(path, text)
  chmodSync(path, 0o755)
}

const models = [...defaultModels, { name: 'qwen3:32b' }]

/** Starts the world; `stop` leaves nothing of it behind. */
export const startDocsWorld = async (): Promise<DocsWorld> => {
  const world = mkdtempSync(join(tmpdir(), 'foreman-docs-'))
  const simulator = await startSimulator({ models, loadMs: 0, firstTokenMs: 0, tokensPerSecond: 0 })
  const foreman = await runForeman(simulator.url, { FOREMAN_DATA_DIR: join(world, 'data') })
  const real = await binaryPath()
  const bin = join(world, 'bin')
  const at = join(world, 'at')
  for (const directory of [bin, join(at, 'dist'), join(world, 'lib'), join(world, 'backup')])
    mkdirSync(directory, { recursive: true })
  for (const path of [join(bin, 'foreman'), join(at, 'dist/foreman')]) program(path, foremanShim)
  program(join(bin, 'curl'), curlShim(Bun.which('curl') ?? 'curl'))
  // A service manager and another user are pretended; what happens to the files is not.
  for (const name of ['systemctl', 'chown']) program(join(bin, name), '#!/bin/sh\n')
  for (const [name, text] of Object.entries(files)) writeFileSync(join(at, name), text)

  const env = (job: string) => ({
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    HOME: world,
    WORLD: world,
    REAL: real,
    URL: foreman.url,
    TARGET: simulator.url,
    HOST: foreman.url.replace('http://', ''),
    FOREMAN_URL: foreman.url,
    FOREMAN_WEBHOOK_SECRET: 'a-secret-of-length',
    JOB: job,
    id: job,
  })
  const run = async (script: string, job: string) => {
    const child = Bun.spawn(['bash', '-euo', 'pipefail', '-c', script], {
      cwd: at,
      env: env(job),
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    return { code: await child.exited, out: said.join('') }
  }

  // A job that is done, a repository with a change in it, and the database of a foreman that is stopped.
  const prepare =
    'git init -q . && echo a > notes && git add notes && echo b > notes && foreman submit qwen3:14b --wait Why? > /dev/null && foreman list --ids'
  const prepared = await run(prepare, '')
  if (prepared.code !== 0) throw new Error(prepared.out)
  const job = prepared.out.trim()
  for (const name of ['foreman.db', 'foreman.db-wal', 'foreman.db-shm'])
    writeFileSync(join(world, 'lib', name), readFileSync(join(foreman.dataDir, name)))

  return {
    run: (script) =>
      run(
        script
          .replaceAll('/var/lib/foreman', join(world, 'lib'))
          .replaceAll(/(?<![\w.])\/backup/g, join(world, 'backup')),
        job,
      ),
    async stop() {
      const pids = await Bun.file(join(world, 'pids'))
        .text()
        .catch(() => '')
      for (const pid of pids.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGTERM')
      await foreman.stop()
      await simulator.stop()
      rmSync(world, { recursive: true, force: true })
    },
  }
}
