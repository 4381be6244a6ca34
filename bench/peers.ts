/** nginx and HAProxy as Debian has them, in front of the bench's target: proxies without a queue; neither may touch anything outside its directory. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '../test/support/binary.ts'
import { answered, freePort, type Listening } from './children.ts'

type ConfigurationOf = (port: number, targetPort: number) => string

// One connection to the target for each client, kept: with nginx's own defaults it would dial for each call.
const nginxConf: ConfigurationOf = (port, targetPort) => `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes auto;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  keepalive_requests 1000000000;
  upstream target { server 127.0.0.1:${targetPort}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`

const haproxyConf: ConfigurationOf = (port, targetPort) => `
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  http-reuse always
listen proxy
  bind 127.0.0.1:${port}
  server target 127.0.0.1:${targetPort}
`

const peers = {
  nginx: { configurationOf: nginxConf, args: ['-p', '.', '-e', 'stderr', '-c'] },
  haproxy: { configurationOf: haproxyConf, args: ['-db', '-q', '-f'] },
} as const

/** Null where it is not installed. */
export const startPeer = async (name: keyof typeof peers, targetPort: number): Promise<Listening | null> => {
  const program = Bun.which(name, { PATH: `${process.env['PATH']}:/usr/sbin` })
  if (program === null) return null
  const { configurationOf, args } = peers[name]
  const directory = temporaryDirectory()
  const port = freePort()
  const configuration = join(directory.path, 'peer.conf')
  await Bun.write(configuration, configurationOf(port, targetPort))
  mkdirSync(join(directory.path, 'logs'))
  const child = Bun.spawn([program, ...args, configuration], {
    cwd: directory.path,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  })
  await answered(port, '/api/version', child.exited)
  return {
    pid: child.pid,
    port,
    async stop() {
      // nginx's workers would outlive a master that is killed.
      child.kill('SIGTERM')
      await child.exited
      directory.remove()
    },
  }
}
