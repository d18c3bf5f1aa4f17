/** The API put together, ready to listen. */
import { StandardSchemaValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.js';
import { allowOrigins } from './http/cors.js';
import { ErrorFilter, refuse } from './http/error.filter.js';
import { observe } from './http/observe.js';
import { limitRate } from './http/rate-limit.js';
import { requestIdOf } from './http/request-id.js';
import { frameworkLog, type Logger } from './log.js';
import { Metrics } from './metrics/metrics.js';
import { describe } from './openapi.js';
import type { ApiSettings } from './settings.js';
import { nameThePeer, trusted } from './socket.js';

/** 3000 characters fit even if each is escaped as two `\uXXXX`. */
const BODY_BYTES = 64 * 1024;

export async function createApp(settings: ApiSettings, log: Logger): Promise<NestFastifyApplication> {
  const metrics = new Metrics();
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_BYTES,
    genReqId: requestIdOf,
    trustProxy: trusted(settings),
    // While closing, finish what was asked and close only connections that wait for nothing.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Above the 60 s that load balancers keep idle connections, so that never we are the one to cut them.
    keepAliveTimeout: 65_000,
    frameworkErrors: refuse,
  });
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- Nest types its options as a class
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.with(settings, metrics), adapter, {
    logger: frameworkLog(log),
    abortOnError: false,
  });
  const fastify = adapter.getInstance();
  if (settings.SOCKET !== undefined) nameThePeer(fastify.server);

  // In this order: ids and log lines for everything, then preflights, and only then counting.
  observe(fastify, log, metrics);
  allowOrigins(app, settings.CORS_ORIGINS);
  await limitRate(fastify, settings.RATE_LIMIT, settings.RATE_WINDOW_SECONDS);

  app.useGlobalPipes(new StandardSchemaValidationPipe());
  app.useGlobalFilters(new ErrorFilter(log));
  describe(app, settings.RELEASE);
  return app;
}
