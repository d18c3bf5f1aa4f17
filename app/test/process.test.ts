import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from './support/ports.js';
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
