/** From variables to a listening API. */
import 'reflect-metadata';
import { chmodSync } from 'node:fs';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from './app.js';
import { createLog } from './log.js';
import { type ApiSettings, apiSettings, SettingsError } from './settings.js';
import { closeOnSignals } from './shutdown.js';
import { removeStale } from './socket.js';

export async function start(variables: NodeJS.ProcessEnv): Promise<void> {
  try {
    const settings = apiSettings(variables);
    const log = createLog(settings);
    process.on('uncaughtException', (error) => {
      log.fatal({ err: error }, 'crashed');
      process.exit(1);
    });
    const app = await createApp(settings, log);
    closeOnSignals(app, log, settings.SHUTDOWN_TIMEOUT_SECONDS);
    const address = await listen(app, settings);
    // To whoever started us with a channel for it, as scripts/dev.mjs does.
    process.send?.('ready');
    log.info({ address, revision: settings.REVISION }, 'listening');
  } catch (error) {
    const line = inPlainWords(error);
    if (!line) throw error;
    process.stderr.write(`${line}\n`);
    process.exit(1);
  }
}

/** @returns where */
async function listen(app: NestFastifyApplication, { SOCKET, PORT, HOST }: ApiSettings): Promise<string> {
  if (SOCKET === undefined) {
    await app.listen(PORT, HOST);
    return app.getUrl();
  }
  await removeStale(SOCKET);
  await app.listen(SOCKET);
  // The proxy is another user: who may come in is for the folder to say.
  chmodSync(SOCKET, 0o666);
  return SOCKET;
}

function inPlainWords(error: unknown): string | undefined {
  if (error instanceof SettingsError) return error.message;
  const { code, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (address?.startsWith('/')) return `SoundBite cannot start: ${address} ${whyNoSocket(code)}`;
  const place = `${address ?? ''}:${port ?? ''}`;
  if (code === 'EADDRINUSE') return `SoundBite cannot start: ${place} is in use; stop what listens there or set PORT`;
  if (code === 'EACCES') return `SoundBite cannot start: it may not listen on ${place}; set another PORT`;
  if (code === 'EADDRNOTAVAIL') return `SoundBite cannot start: this machine has no address ${address ?? ''}; set HOST`;
  return undefined;
}

function whyNoSocket(code = ''): string {
  if (code === 'EADDRINUSE') return 'is in use; stop what listens there or set SOCKET';
  if (code === 'ENOTSOCK') return 'is not a socket; remove it or set SOCKET';
  return `cannot be made (${code}); its folder must exist and let us write`;
}
