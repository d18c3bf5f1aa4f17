import { once } from 'node:events';
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { eventually } from './support/eventually.js';
import { freePort, isFree } from './support/ports.js';
import { Running } from './support/running.js';

const settings = {
  ENVIRONMENT: 'test',
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  DYNAMODB_TABLE: 'clips',
  SQS_QUEUE_URL: 'http://127.0.0.1/000000000000/clips',
  S3_BUCKET: 'clips',
};

let app: Running | undefined;
afterEach(() => app?.kill());

const start = (variables: Record<string, string>) => (app = Running.node('dist/main.js', variables));

// Not in TMPDIR: its path may be too long for a socket's address.
const folder = mkdtempSync('/tmp/soundbite-');
let sockets = 0;
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const newPath = () => join(folder, `${sockets++}.sock`);

/** DynamoDB that answers when it is told to. */
async function gatedAws() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  let asked: () => void = () => undefined;
  const wasAsked = new Promise<void>((resolve) => (asked = resolve));
  const server = createServer((_request, response: ServerResponse) => {
    asked();
    void opened.then(() => response.setHeader('Content-Type', 'application/x-amz-json-1.0').end('{}'));
  });
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${port}`, wasAsked, open, close: () => server.closeAllConnections() };
}

const answerOf = async (request: ReturnType<typeof get>) => (await once(request, 'response'))[0] as IncomingMessage;

describe('the built API', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('on %s finishes what is in flight, takes no more and ends well', async (signal) => {
    const aws = await gatedAws();
    const port = await freePort();
    const running = start({ ...settings, PORT: String(port), AWS_ENDPOINT_URL: aws.url });
    await running.said('"message":"listening"');

    const agent = new Agent({ keepAlive: true });
    const idle = await answerOf(get({ port, path: '/health', agent }));
    const idleGone = once(idle.socket, 'close');
    await json(idle);

    const slow = get({ port, path: '/soundbite/3f2a4bb6-6a6f-4c0b-9d5e-0f6a3f6f2c11', agent: new Agent({ keepAlive: true }) });
    await aws.wasAsked;
    running.signal(signal);
    await running.said('"message":"closing"');
    await idleGone;
    // Node ends what is idle just before it stops listening: who connects in between is queued, and reset.
    await eventually(() => isFree(port));
    const [refused] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
    aws.open();

    const answer = await answerOf(slow);
    expect(answer.statusCode).toBe(404);
    expect(answer.headers.connection).toBe('close');
    expect(await json(answer)).toMatchObject({ statusCode: 404 });
    expect(refused.code).toBe('ECONNREFUSED');
    expect(await running.exit()).toBe(0);
    aws.close();
  });

  it('cuts off what takes longer than it may, and says so', async () => {
    const aws = await gatedAws();
    const port = await freePort();
    const running = start({ ...settings, PORT: String(port), AWS_ENDPOINT_URL: aws.url, SHUTDOWN_TIMEOUT_SECONDS: '1' });
    await running.said('"message":"listening"');
    const slow = get({ port, path: '/soundbite/3f2a4bb6-6a6f-4c0b-9d5e-0f6a3f6f2c11' });
    const cut = once(slow, 'error');
    await aws.wasAsked;
    running.signal('SIGTERM');

    expect(await running.exit()).toBe(1);
    expect(running.stdout).toContain('closing took too long');
    await cut;
    aws.close();
  });

  it('writes nothing but JSON lines', async () => {
    const running = start({ ...settings, PORT: '0', LOG_LEVEL: 'debug' });
    await running.said('"message":"listening"');
    running.signal('SIGTERM');
    await running.exit();

    const lines = running.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const line of lines) expect(line).toMatchObject({ environment: 'test', release: 'unreleased' });
    expect(running.stderr).toBe('');
  });

  it('names all that is wrong with its settings in plain lines, and ends', async () => {
    const running = start({ ...settings, S3_BUCKET: '', PORT: 'http' });

    expect(await running.exit()).toBe(1);
    expect(running.stderr).toBe(
      [
        'SoundBite cannot start; set these variables (or NAME_FILE):',
        '  PORT must be a whole number from 0 to 65535',
        '  S3_BUCKET is missing',
        '',
      ].join('\n'),
    );
    expect(running.stdout).toBe('');
  });

  it('says in one line that its port is taken, and ends', async () => {
    const port = await freePort();
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    const running = start({ ...settings, PORT: String(port) });

    expect(await running.exit()).toBe(1);
    expect(running.stderr).toBe(`SoundBite cannot start: 127.0.0.1:${port} is in use; stop what listens there or set PORT\n`);
    other.close();
  });
});

describe('the built API on a unix socket', () => {
  async function listening(SOCKET: string, variables: Record<string, string> = {}) {
    const running = start({ ...settings, SOCKET, ...variables });
    await running.said('"message":"listening"');
    return running;
  }

  const health = async (socketPath: string) => json(await answerOf(get({ socketPath, path: '/health' })));

  it('listens there for every user, and says so', async () => {
    const path = newPath();
    const running = await listening(path);

    expect(running.stdout).toContain(`"address":"${path}"`);
    expect(lstatSync(path).mode & 0o777).toBe(0o666);
    expect(await health(path)).toMatchObject({ status: 'ok' });
  });

  it('removes the file when told to end, and finishes what is in flight', async () => {
    const aws = await gatedAws();
    const socketPath = newPath();
    const running = await listening(socketPath, { AWS_ENDPOINT_URL: aws.url });

    const idle = await answerOf(get({ socketPath, path: '/health', agent: new Agent({ keepAlive: true }) }));
    const idleGone = once(idle.socket, 'close');
    await json(idle);

    const slow = get({ socketPath, path: '/soundbite/3f2a4bb6-6a6f-4c0b-9d5e-0f6a3f6f2c11' });
    await aws.wasAsked;
    running.signal('SIGTERM');
    await idleGone;
    await eventually(() => !existsSync(socketPath));
    aws.open();

    const answer = await answerOf(slow);
    expect(answer.statusCode).toBe(404);
    expect(await json(answer)).toMatchObject({ statusCode: 404 });
    expect(answer.headers.connection).toBe('close');
    expect(await running.exit()).toBe(0);
    aws.close();
  });

  it('takes the place of one that was killed', async () => {
    const path = newPath();
    const killed = await listening(path);
    killed.kill();
    await killed.exit();
    expect(lstatSync(path).isSocket()).toBe(true);

    await listening(path);
    expect(await health(path)).toMatchObject({ status: 'ok' });
  });

  it('says in one line that its socket is in use, leaves it alone and ends', async () => {
    const path = newPath();
    const other = createServer((_request, response) => response.end('"other"')).listen(path);
    await once(other, 'listening');
    const running = start({ ...settings, SOCKET: path });

    expect(await running.exit()).toBe(1);
    expect(running.stderr).toBe(`SoundBite cannot start: ${path} is in use; stop what listens there or set SOCKET\n`);
    expect(await health(path)).toBe('other');
    other.close();
  });

  it('leaves alone what is no socket, says so and ends', async () => {
    const path = newPath();
    writeFileSync(path, 'precious');
    const running = start({ ...settings, SOCKET: path });

    expect(await running.exit()).toBe(1);
    expect(running.stderr).toBe(`SoundBite cannot start: ${path} is not a socket; remove it or set SOCKET\n`);
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });

  // Nobody, not even root, makes files in /proc.
  it.each(['/nowhere/at/all/app.sock', '/proc/app.sock'])('says in one line that it cannot make %s, and ends', async (path) => {
    const running = start({ ...settings, SOCKET: path });

    expect(await running.exit()).toBe(1);
    expect(running.stderr).toBe(
      `SoundBite cannot start: ${path} cannot be made (EACCES); its folder must exist and let us write\n`,
    );
  });

  /** How many requests each sender of these X-Forwarded-For has left, of nine. */
  async function left(variables: Record<string, string>, senders: readonly (string | undefined)[]) {
    const socketPath = newPath();
    await listening(socketPath, { ...variables, RATE_LIMIT: '9', RATE_WINDOW_SECONDS: '600' });
    const remaining: number[] = [];
    for (const sender of senders) {
      const headers = sender === undefined ? {} : { 'X-Forwarded-For': sender };
      const answer = await answerOf(get({ socketPath, path: '/soundbite/x', headers }));
      answer.resume();
      remaining.push(Number(answer.headers['ratelimit-remaining']));
    }
    return remaining;
  }

  it.each([{}, { TRUST_PROXY: 'false' }, { TRUST_PROXY: 'true' }])(
    'with %o knows a client by what the proxy says, not by what the client says',
    async (variables) => {
      const senders = ['192.0.2.1', '192.0.2.2', '198.51.100.1, 192.0.2.1', '192.0.2.2, 0.0.0.0, 192.0.2.1'];
      expect(await left(variables, senders)).toEqual([8, 8, 7, 6]);
    },
  );

  it('believes further proxies that are named', async () => {
    const senders = ['192.0.2.1, 10.0.0.1', '192.0.2.2, 10.0.0.1', '192.0.2.2, 192.0.2.1, 10.0.0.1'];
    expect(await left({ TRUST_PROXY: '10.0.0.0/8' }, senders)).toEqual([8, 8, 7]);
  });

  it('counts all that come without an address as one client', async () => {
    expect(await left({}, [undefined, '192.0.2.1', '', ','])).toEqual([8, 8, 7, 6]);
  });
});

describe('the health check', () => {
  const check = async (variables: Record<string, string>) => {
    const running = Running.node('scripts/healthcheck.mjs', variables);
    return [await running.exit(), running.stdout];
  };

  it('asks at the socket if there is one, else at the port, and says which', async () => {
    const SOCKET = newPath();
    const port = await freePort();
    const bySocket = createServer((_request, response) => response.end('by socket')).listen(SOCKET);
    const byPort = createServer((_request, response) => response.end('by port')).listen(port, '127.0.0.1');
    await Promise.all([once(bySocket, 'listening'), once(byPort, 'listening')]);
    const PORT = String(port);

    expect(await check({ SOCKET, PORT })).toEqual([0, `unix:${SOCKET}:/health: 200 by socket\n`]);
    expect(await check({ SOCKET: '', PORT })).toEqual([0, `127.0.0.1:${port}/health: 200 by port\n`]);
    bySocket.close();
    await once(bySocket, 'close');
    expect(await check({ SOCKET, PORT })).toEqual([1, `unix:${SOCKET}:/health: connect ENOENT ${SOCKET}\n`]);
    byPort.close();
  });
});
