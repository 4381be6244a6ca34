/** The OpenAPI document and a page that shows it; the page must work without the internet. */
import { swagger } from '@elysiajs/swagger'
import { Elysia } from 'elysia'
import type { Guard } from './auth.ts'
import { openApi30 } from './openapi.ts'
import viewer from './viewer.js.txt' with { type: 'text' }

const VIEWER_PATH = '/swagger/viewer.js'

/** `/swagger`, `/swagger/json` and the page's own script. */
export const docsRoutes = (guard: Guard, version: string) =>
  new Elysia({ name: 'docs' })
    .onBeforeHandle(({ request }) => guard(request) ?? undefined)
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
        },
      }),
    )
    .get(VIEWER_PATH, () => new Response(viewer, { headers: { 'Content-Type': 'text/javascript; charset=utf-8' } }), {
      detail: { hide: true },
    })
