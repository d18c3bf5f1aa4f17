/**
 * The images' health check: asks the API beside it and says in one line what it got. It runs every few seconds, so it
 * speaks HTTP over a plain socket: node:http and fetch take twice the processor time, most of it to load (measured).
 */
import { connect } from 'node:net';

const SOCKET = process.env['SOCKET'];
const PORT = Number(process.env['PORT'] ?? 3000);
const PATH = '/health';
// As nginx writes it.
const ADDRESS = SOCKET ? `unix:${SOCKET}:${PATH}` : `127.0.0.1:${PORT}${PATH}`;
/** Below the HEALTHCHECK's own timeout, at whose end Docker says nothing of what happened. */
const DEADLINE_MS = 2000;

/**
 * @param {0 | 1} code
 * @param {string} what
 */
function end(code, what) {
  process.stdout.write(`${ADDRESS}: ${what}\n`, () => process.exit(code));
}

setTimeout(() => end(1, `no answer within ${DEADLINE_MS} ms`), DEADLINE_MS);

let answer = '';
(SOCKET ? connect(SOCKET) : connect(PORT, '127.0.0.1'))
  .setEncoding('utf8')
  .on('data', (part) => (answer += String(part)))
  .on('end', () => {
    const [, status = 'no HTTP'] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? [];
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4).trim();
    end(status === '200' ? 0 : 1, `${status} ${body.slice(0, 300)}`);
  })
  .on('error', (error) => end(1, error.message))
  .write(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
