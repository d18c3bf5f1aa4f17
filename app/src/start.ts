/** From variables to a listening API. */
import 'reflect-metadata';
import { createApp } from './app.js';
import { createLog } from './log.js';
import { apiSettings, SettingsError } from './settings.js';
import { closeOnSignals } from './shutdown.js';

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
    await app.listen(settings.PORT, settings.HOST);
    // To whoever started us with a channel for it, as scripts/dev.mjs does.
    process.send?.('ready');
    log.info({ address: await app.getUrl(), revision: settings.REVISION }, 'listening');
  } catch (error) {
    const line = inPlainWords(error);
    if (!line) throw error;
    process.stderr.write(`${line}\n`);
    process.exit(1);
  }
}

function inPlainWords(error: unknown): string | undefined {
  if (error instanceof SettingsError) return error.message;
  const { code, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  const place = `${address ?? ''}:${port ?? ''}`;
  if (code === 'EADDRINUSE') return `SoundBite cannot start: ${place} is in use; stop what listens there or set PORT`;
  if (code === 'EACCES') return `SoundBite cannot start: it may not listen on ${place}; set another PORT`;
  if (code === 'EADDRNOTAVAIL') return `SoundBite cannot start: this machine has no address ${address ?? ''}; set HOST`;
  return undefined;
}
