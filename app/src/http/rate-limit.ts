/** So many requests a client and window, counted in this process. Routes step out with `Unlimited`. */
import rateLimit from '@fastify/rate-limit';
import { HttpException } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';

/** For routes that machines ask: a busy client must never make the app look ill. */
export const Unlimited = () => RouteConfig({ rateLimit: false });

export async function limitRate(fastify: FastifyInstance, max: number, seconds: number): Promise<void> {
  await fastify.register(rateLimit, {
    max,
    timeWindow: seconds * 1000,
    // The names of the standard's draft: RateLimit-Limit, -Remaining, -Reset, and Retry-After.
    enableDraftSpec: true,
    errorResponseBuilder: (_request, { ttl }) =>
      new HttpException(`Too many requests: try again in ${Math.ceil(ttl / 1000)} s`, 429),
  });
}
