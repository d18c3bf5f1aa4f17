import { randomUUID } from 'node:crypto';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clipKey } from '../src/clips/clip.js';
import { claimKey } from '../src/clips/idempotency.js';
import { Api, errorIn } from './support/api.js';
import { Cloud } from './support/cloud.js';
import { freePort } from './support/ports.js';

let cloud: Cloud;
let api: Api;

beforeAll(async () => {
  cloud = await Cloud.create();
  api = await Api.start(cloud.variables);
});
afterAll(() => api.close());

describe('POST /soundbite', () => {
  it('stores and queues a clip, and says where it is', async () => {
    const answer = await api.submit({ text: '  Hello  ' }, randomUUID(), { 'X-Request-Id': 'req-1' });
    const clip = (await answer.json()) as { id: string };

    expect(answer.status).toBe(202);
    expect(answer.headers.get('location')).toBe(`/soundbite/${clip.id}`);
    expect(clip).toMatchObject({ status: 'pending', text: 'Hello', voiceId: 'Joanna' });
    const stored = await cloud.clip(clip.id);
    expect(stored?.queuedAt).toBeDefined();
    expect(stored?.expiresAt).toBeGreaterThan(Date.now() / 1000 + 29 * 86_400);
    const messages = await cloud.receive();
    expect(messages.map(({ body }) => JSON.parse(body) as unknown)).toContainEqual({ id: clip.id });
    expect(messages.map(({ messageAttributes }) => messageAttributes['requestId']?.stringValue)).toContain('req-1');
  });

  it('gives the same answer to the same key and body', async () => {
    const key = randomUUID();
    const first = await api.submit({ text: 'Once' }, key);
    const again = await api.submit({ text: ' Once ', voiceId: 'Joanna' }, key);

    expect(again.status).toBe(first.status);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    expect(await again.text()).toBe(await first.text());
  });

  it('makes one clip of 20 concurrent requests with one key', async () => {
    const own = await Cloud.create();
    const server = await Api.start(own.variables);
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 20 }, () => server.submit({ text: 'Together' }, key)));
    const metrics = await (await server.get('/metrics')).text();
    await server.close();

    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(202));
    expect(new Set(await Promise.all(answers.map((answer) => answer.text()))).size).toBe(1);
    expect(await own.clips()).toHaveLength(1);
    expect(metrics).toContain('clips_created_total 1');
  });

  it('forgets a key when its time is up, even if DynamoDB has not removed it yet', async () => {
    const key = randomUUID();
    const expired = { ...claimKey(key, undefined), clipId: randomUUID(), fingerprint: 'another', expiresAt: 1 };
    await cloud.dynamodb.send(new PutCommand({ TableName: cloud.name, Item: expired }));

    const { id } = await api.accepted({ text: 'Anew' }, key);
    expect(await api.accepted({ text: 'Anew' }, key)).toMatchObject({ id });
  });

  it('refuses the key for another body', async () => {
    const key = randomUUID();
    await api.accepted({ text: 'One' }, key);
    const answer = await api.submit({ text: 'Another' }, key);

    expect(answer.status).toBe(409);
    expect(await errorIn(answer)).toMatchObject({ statusCode: 409, error: 'Conflict' });
  });

  it("keeps one user's keys apart from another's and from nobody's", async () => {
    const key = randomUUID();
    const clips = [
      await api.accepted({ text: 'Mine' }, key),
      await api.accepted({ text: 'Mine', userId: 'ana' }, key),
      await api.accepted({ text: 'Mine', userId: 'bo' }, key),
    ];
    expect(new Set(clips.map(({ id }) => id)).size).toBe(3);
  });

  it.each([
    ['no key', null],
    ['an empty key', ''],
    ['a key with a space', 'a b'],
    ['a key of 256 characters', 'k'.repeat(256)],
  ])('refuses %s', async (_what, key) => {
    const answer = await api.submit({ text: 'Hello' }, key);

    expect(answer.status).toBe(400);
    expect((await errorIn(answer)).message).toMatch(/Idempotency-Key header .* 1 to 255 visible ASCII characters/);
  });

  it.each([
    ['no text', {}, 'text'],
    ['an empty text', { text: ' \n ' }, 'text: must not be empty'],
    ['a long text', { text: 'a'.repeat(3001) }, 'text: must have 3000 characters at most'],
    ['half a character', '{"text":"\\ud83d"}', 'text: must be well-formed Unicode'],
    ['an unknown voice', { text: 'Hello', voiceId: 'Hal' }, 'voiceId: must be a neural voice'],
    ['an unknown field', { text: 'Hello', speed: 2 }, 'speed'],
    ['bad JSON', '{"text":', 'not valid JSON'],
    ['no object', '[]', 'expected object'],
  ])('refuses %s', async (_what, body, message) => {
    const answer = await api.submit(body);

    expect(answer.status).toBe(400);
    expect((await errorIn(answer)).message).toContain(message);
  });

  it('takes 3000 characters, but no body beyond all reason', async () => {
    expect((await api.submit({ text: '\u00e4'.repeat(3000) })).status).toBe(202);
    const answer = await api.submit({ text: 'a'.repeat(70_000) });
    expect(answer.status).toBe(413);
    expect(await errorIn(answer)).toMatchObject({ error: 'Payload Too Large', requestId: answer.headers.get('x-request-id') });
  });

  it('queues on retry what could not be queued at first', async () => {
    const queue = `late-${randomUUID()}`;
    const server = await Api.start({ ...cloud.variables, SQS_QUEUE_URL: cloud.queueUrl(queue) });
    const key = randomUUID();
    const refused = await server.submit({ text: 'Later' }, key);
    await cloud.createQueue(queue);
    const clip = await server.accepted({ text: 'Later' }, key);
    await server.close();

    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    const messages = await cloud.receive(queue);
    expect(messages.map(({ body }) => JSON.parse(body) as unknown)).toEqual([{ id: clip.id }]);
  });

  it('does not queue again what was queued', async () => {
    const queue = `once-${randomUUID()}`;
    await cloud.createQueue(queue);
    const server = await Api.start({ ...cloud.variables, SQS_QUEUE_URL: cloud.queueUrl(queue) });
    const key = randomUUID();
    for (let i = 0; i < 3; i++) await server.accepted({ text: 'Just once' }, key);
    await server.close();

    expect(await cloud.receive(queue)).toHaveLength(1);
  });
});

describe('GET /soundbite/:id', () => {
  it('shows a clip that is waiting', async () => {
    const clip = await api.accepted({ text: 'Wait', voiceId: 'Vicki' });
    expect(await api.clip(clip.id)).toEqual(clip);
    expect(await api.clip(clip.id.toUpperCase())).toEqual(clip);
  });

  it('knows no clip that is not there', async () => {
    const answer = await api.get(`/soundbite/${randomUUID()}`);
    expect(answer.status).toBe(404);
    expect(await errorIn(answer)).toMatchObject({ error: 'Not Found' });
  });

  it('shows no clip whose time is up, even if DynamoDB has not removed it yet', async () => {
    const { id } = await api.accepted({ text: 'Old' });
    await cloud.dynamodb.send(new PutCommand({ TableName: cloud.name, Item: { ...clipKey(id), id, expiresAt: 1 } }));
    expect((await api.get(`/soundbite/${id}`)).status).toBe(404);
  });

  it('refuses what is no id', async () => {
    const answer = await api.get('/soundbite/42');
    expect(answer.status).toBe(400);
    expect((await errorIn(answer)).message).toBe('id must be a UUID');
  });
});

it('says 503 and nothing of the inside when AWS is away', async () => {
  const server = await Api.start({ ...cloud.variables, AWS_ENDPOINT_URL: `http://127.0.0.1:${await freePort()}` });
  const answers = [await server.submit({ text: 'Hello' }), await server.get(`/soundbite/${randomUUID()}`)];
  await server.close();

  for (const answer of answers) {
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('5');
    expect((await errorIn(answer)).message).toBe('A service we depend on is not available; try again later');
  }
  const causes = server.lines.filter(({ level, err }) => level === 'error' && err);
  expect(JSON.stringify(causes)).toContain('ECONNREFUSED');
});
