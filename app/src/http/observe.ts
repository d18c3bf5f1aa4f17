/** After each answer: one log line and one observation, by route template so that ids stay out of both. */
import type { FastifyInstance } from 'fastify';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics/metrics.js';

/** Asked every few seconds by machines: not worth a line each. */
const QUIET = new Set(['/health', '/health/ready', '/metrics']);

export function observe(fastify: FastifyInstance, log: Logger, metrics: Metrics): void {
  fastify.addHook('onRequest', async (request, reply) => {
    reply.header('X-Request-Id', request.id);
  });
  fastify.addHook('onResponse', async (request, reply) => {
    const { method, id: requestId } = request;
    const { statusCode: status, elapsedTime } = reply;
    const route = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched');
    metrics.answered({ method, route, status }, elapsedTime / 1000);
    const level = status >= 500 ? 'error' : QUIET.has(route) ? 'debug' : 'info';
    log[level]({ requestId, method, route, status, durationMs: Math.round(elapsedTime) }, 'request');
  });
}
