/** GET /metrics: what foreman counts, for Prometheus. */
import { Elysia, t } from 'elysia'
import { bytesResponse } from './openapi.ts'

export type MetricsText = () => Promise<{ readonly contentType: string; readonly text: string }>

/** The one route. */
export const metricsRoutes = (metrics: MetricsText) =>
  new Elysia({ name: 'metrics' }).get(
    '/metrics',
    async () => {
      const { contentType, text } = await metrics()
      return new Response(text, { headers: { 'Content-Type': contentType } })
    },
    {
      response: {
        200: bytesResponse('Prometheus text', 'text/plain'),
        401: t.Object({ error: t.String() }, { description: 'FOREMAN_TOKEN is missing' }),
      },
      detail: { summary: 'Counts and times for Prometheus', tags: ['health'] },
    },
  )
