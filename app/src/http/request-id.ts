/** Every request has an id, the caller's own if it is sane, that its answer and its log lines share. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

// Nothing that could break a log line or a header.
const SANE = /^[\w.:@/+=-]{1,128}$/;

export function requestIdOf({ headers }: { readonly headers: IncomingHttpHeaders }): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && SANE.test(given) ? given : randomUUID();
}
