/** Builds dist/foreman, one executable for this machine; it must never leave anything else in dist. */
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

const root = join(import.meta.dir, '..')
const dist = join(root, 'dist')
const work = join(dist, '.work')
const output = join(dist, 'foreman')

/** ESM because bytecode in CommonJS form starts a second server from a main module with exports (bun 1.4.5). */
const flags = [
  '--compile',
  // Not plain --minify: with its short identifiers Elysia no longer checks some queries (`limit=501` was taken).
  '--minify-whitespace',
  '--minify-syntax',
  '--bytecode',
  '--format=esm',
  '--sourcemap',
  // A compiled executable would otherwise read .env and bunfig.toml of whatever directory it is started in.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  // A private CA that the machine trusts is trusted for the target and for webhooks, as curl does.
  '--compile-exec-argv=--use-system-ca',
]

/** The program, and what runs in threads of its own: each is begun by its place below src. */
const entries = ['src/main.ts', 'src/store/checkpoint-thread.ts'].map((entry) => join(root, entry))

const startedAt = performance.now()
await rm(work, { recursive: true, force: true })
await mkdir(work, { recursive: true })
try {
  const build = Bun.spawn([process.execPath, 'build', ...flags, ...entries, '--outfile', join(work, 'foreman')], {
    cwd: work,
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const said = await new Response(build.stdout).text()
  if ((await build.exited) !== 0) {
    console.error(said)
    process.exit(1)
  }
  // The map is embedded; the copy that bun drops beside the executable stays behind with the work directory.
  await rename(join(work, 'foreman'), output)
} finally {
  await rm(work, { recursive: true, force: true })
}

const check = Bun.spawn([output, 'version'], { cwd: '/', stdout: 'pipe', stderr: 'inherit', env: {} })
const version = (await new Response(check.stdout).text()).trim()
if ((await check.exited) !== 0) {
  console.error('the executable does not start')
  process.exit(1)
}
const megabytes = (Bun.file(output).size / 1e6).toFixed(0)
console.log(`dist/foreman  ${megabytes} MB  ${((performance.now() - startedAt) / 1000).toFixed(1)} s  ${version}`)
