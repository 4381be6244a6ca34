/** The OpenAPI document and a page that shows it; the page must work without the internet. */
import { swagger } from '@elysiajs/swagger'
import { Elysia } from 'elysia'
import { ollamaRoutes, type Route } from '../domain/wire/routes.ts'
import { openApi30 } from './openapi.ts'
import viewer from './viewer.js.txt' with { type: 'text' }

const VIEWER_PATH = '/swagger/viewer.js'

const summaries: Record<Route['class'], string> = {
  queued: 'one at a time, through the queue',
  bypass: 'at once, beside a generation',
  control: 'at once, no model runs',
}

/** `postApiBlobsByDigest`: stable names for generated clients. */
const operationId = (method: string, path: string): string => {
  const words = path.split('/').filter((part) => part !== '')
  const named = words.map((word) => {
    const bare = word.replace(/^:/, '')
    return `${word.startsWith(':') ? 'By' : ''}${bare.charAt(0).toUpperCase()}${bare.slice(1)}`
  })
  return `${method}${named.join('') || 'Index'}`
}

/** One operation per route and method; what it takes and gives is Ollama's to describe. */
const ollamaPaths = () => {
  const paths: Record<string, Record<string, object>> = {}
  for (const { methods, path, class: routeClass } of ollamaRoutes) {
    const parameters = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      in: 'path',
      name,
      required: true,
      schema: { type: 'string' },
    }))
    // Whoever takes GET takes HEAD.
    for (const method of methods
      .filter((one) => one !== 'HEAD' || !methods.includes('GET'))
      .map((m) => m.toLowerCase()))
      paths[path.replaceAll(/:(\w+)/g, '{$1}')] = {
        ...paths[path.replaceAll(/:(\w+)/g, '{$1}')],
        [method]: {
          operationId: operationId(method, path),
          summary: `${path}: ${summaries[routeClass]}`,
          tags: [routeClass],
          ...(parameters.length > 0 && { parameters }),
          responses: {},
        },
      }
  }
  return paths
}

/** `/swagger`, `/swagger/json` and the page's own script. */
export const docsRoutes = (version: string) =>
  new Elysia({ name: 'docs' })
    .onAfterHandle(({ responseValue }) =>
      typeof responseValue === 'object' && responseValue !== null && 'openapi' in responseValue
        ? openApi30(responseValue)
        : undefined,
    )
    .use(
      swagger({
        path: '/swagger',
        // The plugin's own pages load their script from a public CDN.
        scalarCDN: VIEWER_PATH,
        scalarConfig: { customCss: '' },
        documentation: {
          info: { title: 'foreman', version, description: 'An Ollama on the wire, a durable queue inside.' },
          components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'FOREMAN_TOKEN' } } },
          // Without FOREMAN_TOKEN everybody may.
          security: [{ token: [] }, {}],
          paths: ollamaPaths(),
        },
      }),
    )
    .get(VIEWER_PATH, () => new Response(viewer, { headers: { 'Content-Type': 'text/javascript; charset=utf-8' } }), {
      detail: { hide: true },
    })
