/** Ending well: no new connections, a good-bye on every answer, requests in flight finished, then gone. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from './log.js';

export function closeOnSignals(app: NestFastifyApplication, log: Logger, seconds: number): void {
  let closing = false;
  const fastify = app.getHttpAdapter().getInstance();

  // Fastify says it to requests that come while it closes; those already being answered must hear it too.
  fastify.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('Connection', 'close');
  });

  const close = async (signal: NodeJS.Signals) => {
    if (closing) return;
    closing = true;
    log.info({ signal }, 'closing');
    setTimeout(() => {
      log.error({ seconds }, 'closing took too long; requests in flight are cut off');
      process.exit(1);
    }, seconds * 1000).unref();
    await app.close();
    log.info('closed');
    process.exit(0);
  };
  process.on('SIGTERM', (signal) => void close(signal));
  process.on('SIGINT', (signal) => void close(signal));
}
