/** One JSON line an event on stdout, each saying which environment and release spoke. */
import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { ApiSettings } from './settings.js';

export type { Logger } from 'pino';

export function createLog(
  settings: Pick<ApiSettings, 'LOG_LEVEL' | 'ENVIRONMENT' | 'RELEASE'>,
  // At once and in order: left to itself pino writes in the background, and the last lines before an exit swap places.
  destination: DestinationStream = pino.destination({ fd: 1, sync: true }),
): Logger {
  return pino(
    {
      level: settings.LOG_LEVEL,
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      base: { environment: settings.ENVIRONMENT, release: settings.RELEASE },
      formatters: { level: (level) => ({ level }) },
    },
    destination,
  );
}

/** What Nest itself has to say. Its tale of every route it maps is debug: nobody reads it twice. */
export function frameworkLog(log: Logger): LoggerService {
  return {
    log: (message: unknown) => log.debug(String(message)),
    debug: (message: unknown) => log.debug(String(message)),
    verbose: (message: unknown) => log.trace(String(message)),
    warn: (message: unknown) => log.warn(String(message)),
    error: (message: unknown) => log.error(String(message)),
    fatal: (message: unknown) => log.fatal(String(message)),
  };
}
