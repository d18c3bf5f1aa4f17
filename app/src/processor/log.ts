/** JSON lines like the API's, without its logger: a worker-free few bytes suit a bundle better. */
import type { ProcessorSettings } from '../settings.js';

type Level = 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;

export type ProcessorLog = Readonly<Record<Level, (fields: Fields, message: string) => void>>;

export function createProcessorLog({ ENVIRONMENT, RELEASE, LOG_LEVEL }: ProcessorSettings): ProcessorLog {
  const levels: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
  const threshold = levels.indexOf(LOG_LEVEL);
  const write = (level: Level) => (fields: Fields, message: string) => {
    if (levels.indexOf(level) < threshold) return;
    const time = new Date().toISOString();
    process.stdout.write(
      `${JSON.stringify({ level, time, environment: ENVIRONMENT, release: RELEASE, ...fields, message })}\n`,
    );
  };
  return { info: write('info'), warn: write('warn'), error: write('error') };
}

/** Name and message of an error and of what caused it; none of ours holds a clip's text. */
export function errorFields(error: unknown): Fields {
  if (!(error instanceof Error)) return { error: String(error) };
  const { name, message, cause } = error;
  return { error: name, detail: message, ...(cause instanceof Error && { cause: `${cause.name}: ${cause.message}` }) };
}
