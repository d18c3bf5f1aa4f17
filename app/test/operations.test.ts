import { randomUUID } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { validate } from '@apidevtools/swagger-parser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReadinessView } from '../src/health/schemas.js';
import { Api, errorIn } from './support/api.js';
import { Cloud } from './support/cloud.js';
import { freePort } from './support/ports.js';

let cloud: Cloud;
let api: Api;

beforeAll(async () => {
  cloud = await Cloud.create();
  api = await Api.start({ ...cloud.variables, CORS_ORIGINS: 'https://web.example' });
});
afterAll(() => api.close());

/** A server with other settings for one question. */
async function ask<Answer>(variables: Record<string, string>, question: (api: Api) => Promise<Answer>): Promise<Answer> {
  const server = await Api.start({ ...cloud.variables, ...variables });
  try {
    return await question(server);
  } finally {
    await server.close();
  }
}

const readiness = async (answer: Response) => (await answer.json()) as ReadinessView;

describe('GET /health', () => {
  it('answers without AWS', async () => {
    const view = await ask({ AWS_ENDPOINT_URL: `http://127.0.0.1:${await freePort()}` }, async (server) =>
      (await server.get('/health')).json(),
    );
    expect(view).toEqual({ status: 'ok', environment: 'test', release: 'r1', revision: 'abc123' });
  });
});

describe('GET /health/ready', () => {
  it('is ok when all answer', async () => {
    const answer = await api.get('/health/ready');
    expect(answer.status).toBe(200);
    expect(await readiness(answer)).toMatchObject({
      status: 'ok',
      dependencies: { dynamodb: { ok: true }, sqs: { ok: true }, s3: { ok: true } },
    });
  });

  it.each([
    ['dynamodb', { DYNAMODB_TABLE: 'gone' }],
    ['sqs', { SQS_QUEUE_URL: 'http://127.0.0.1/000000000000/gone' }],
    ['s3', { S3_BUCKET: 'gone' }],
  ])('names %s when it alone is gone', async (name, variables) => {
    const answer = await ask(variables as Record<string, string>, (server) => server.get('/health/ready'));
    const { status, dependencies } = await readiness(answer);

    expect(answer.status).toBe(503);
    expect(status).toBe('unavailable');
    const failed = Object.entries(dependencies).filter(([, { ok }]) => !ok);
    expect(failed.map(([which]) => which)).toEqual([name]);
    expect(failed[0]?.[1].error).toMatch(/^\w+$/);
  });

  it('does not wait longer than its deadline for those that hang', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket));
    const port = await freePort();
    await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve));
    const answer = await ask({ AWS_ENDPOINT_URL: `http://127.0.0.1:${port}` }, (server) => server.get('/health/ready'));
    for (const socket of sockets) socket.destroy();
    silent.close();

    expect(answer.status).toBe(503);
    const { dependencies } = await readiness(answer);
    for (const { ok, error } of Object.values(dependencies)) expect({ ok, error }).toEqual({ ok: false, error: 'no answer in 2000 ms' });
  });
});

describe('GET /metrics', () => {
  it('counts requests by route template', async () => {
    await api.get(`/soundbite/${randomUUID()}`);
    const answer = await api.get('/metrics');
    const text = await answer.text();

    expect(answer.headers.get('content-type')).toContain('text/plain');
    expect(text).toMatch(/http_request_duration_seconds_count\{method="GET",route="\/soundbite\/:id",status="404"\} \d/);
    expect(text).toContain('process_cpu_seconds_total');
    expect(text).toContain('clips_created_total 0');
  });

  it('wants the token if there is one', async () => {
    const [none, wrong, right] = await ask({ METRICS_TOKEN: 's3cret' }, (server) =>
      Promise.all([
        server.get('/metrics'),
        server.get('/metrics', { Authorization: 'Bearer guess' }),
        server.get('/metrics', { Authorization: 'Bearer s3cret' }),
      ]),
    );
    expect([none.status, wrong.status, right.status]).toEqual([401, 401, 200]);
    expect(none.headers.get('www-authenticate')).toBe('Bearer');
    expect(await errorIn(none)).toMatchObject({ error: 'Unauthorized' });
  });
});

describe('CORS', () => {
  const preflight = (origin: string) =>
    fetch(`${api.url}/soundbite`, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type,idempotency-key',
      },
    });

  it('lets a known page send a clip with its key', async () => {
    const answer = await preflight('https://web.example');
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://web.example');
    expect(answer.headers.get('access-control-allow-methods')).toContain('POST');
    expect(answer.headers.get('access-control-allow-headers')).toContain('Idempotency-Key');
  });

  it('lets it read the headers that matter', async () => {
    const answer = await api.submit({ text: 'Hello' }, randomUUID(), { Origin: 'https://web.example' });
    const exposed = answer.headers.get('access-control-expose-headers');
    for (const name of ['Location', 'X-Request-Id', 'RateLimit-Remaining', 'Retry-After']) expect(exposed).toContain(name);
  });

  it('gives no leave to an unknown page', async () => {
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
  });

  it('lets any page in with *', async () => {
    const answer = await ask({ CORS_ORIGINS: '*' }, (server) =>
      server.get('/health', { Origin: 'https://any.example' }),
    );
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });
});

describe('the rate limit', () => {
  it('stops a client that asks too much, with the standard headers, and spares what machines ask', async () => {
    await ask({ RATE_LIMIT: '2', RATE_WINDOW_SECONDS: '600', CORS_ORIGINS: '*' }, async (server) => {
      const path = `/soundbite/${randomUUID()}`;
      const first = await server.get(path);
      expect(first.headers.get('ratelimit-limit')).toBe('2');
      expect(first.headers.get('ratelimit-remaining')).toBe('1');
      expect(Number(first.headers.get('ratelimit-reset'))).toBeGreaterThan(590);
      await server.get(path);

      const stopped = await server.get(path, { Origin: 'https://web.example' });
      expect(stopped.status).toBe(429);
      expect(Number(stopped.headers.get('retry-after'))).toBeGreaterThan(590);
      expect(stopped.headers.get('access-control-allow-origin')).toBe('*');
      expect(await errorIn(stopped)).toMatchObject({ statusCode: 429, error: 'Too Many Requests' });

      for (const spared of ['/health', '/health/ready', '/metrics']) expect((await server.get(spared)).status).toBe(200);
    });
  });

  it('believes X-Forwarded-For only behind a trusted proxy', async () => {
    const remaining = async (server: Api) => {
      await server.get('/soundbite/x', { 'X-Forwarded-For': '10.0.0.1' });
      return (await server.get('/soundbite/x', { 'X-Forwarded-For': '10.0.0.2' })).headers.get('ratelimit-remaining');
    };
    expect(await ask({ RATE_LIMIT: '9', TRUST_PROXY: '127.0.0.1' }, remaining)).toBe('8');
    expect(await ask({ RATE_LIMIT: '9' }, remaining)).toBe('7');
  });
});

describe('OpenAPI', () => {
  it('is valid, and complete in what every route may answer', async () => {
    const document = (await (await api.get('/api-json')).json()) as Parameters<typeof validate>[0];
    await validate(structuredClone(document));

    const { paths, components } = document as unknown as {
      paths: Record<string, Record<string, { parameters: unknown[]; responses: object }>>;
      components: { schemas: object };
    };
    expect(Object.keys(paths).sort()).toEqual(['/health', '/health/ready', '/metrics', '/soundbite', '/soundbite/{id}']);
    expect(Object.keys(paths['/soundbite']?.['post']?.responses ?? {})).toEqual(['202', '400', '409', '429', '500', '503']);
    expect(paths['/soundbite']?.['post']?.parameters).toContainEqual(
      expect.objectContaining({ name: 'Idempotency-Key', in: 'header', required: true }),
    );
    expect(Object.keys(components.schemas).sort()).toEqual(['AcceptedClip', 'Clip', 'Error', 'Health', 'NewClip', 'Readiness']);
  });

  it('has a page for people', async () => {
    const answer = await api.get('/api');
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('swagger-ui');
  });
});

describe('every answer', () => {
  it('has a request id, the sane one that was sent or a new one', async () => {
    const id = async (sent: string) => (await api.get('/health', { 'X-Request-Id': sent })).headers.get('x-request-id');
    expect(await id('trace-1.2:3')).toBe('trace-1.2:3');
    expect(await id('x'.repeat(200))).toMatch(/^[\da-f-]{36}$/);
    expect(await id('with "quotes"')).toMatch(/^[\da-f-]{36}$/);
  });

  it.each(['/nowhere', '/%ff', '/soundbite/42', '/soundbite/%20'])('to %s has the one shape of errors', async (path) => {
    const answer = await api.get(path);
    const error = await errorIn(answer);
    expect(Object.keys(error).sort()).toEqual(['error', 'message', 'requestId', 'statusCode']);
    expect(error).toMatchObject({ statusCode: answer.status, requestId: answer.headers.get('x-request-id') });
  });
});

describe('the log', () => {
  it('is one JSON line a request, with its id and no text of a clip', async () => {
    const server = await Api.start(cloud.variables);
    await server.submit({ text: 'purple elephants' }, randomUUID(), { 'X-Request-Id': 'req-7' });
    await server.submit({ text: 'purple elephants', voiceId: 'Hal' });
    await server.get('/health');
    await server.close();

    const requests = server.lines.filter(({ message }) => message === 'request');
    expect(requests.map(({ requestId }) => requestId)).toContain('req-7');
    expect(requests).toHaveLength(2);
    for (const line of server.lines) expect(line).toMatchObject({ environment: 'test', release: 'r1' });
    expect(server.output.join('')).not.toContain('elephants');
  });
});
