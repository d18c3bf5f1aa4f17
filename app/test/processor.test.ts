import { randomUUID } from 'node:crypto';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createProcessor } from '../src/processor/create.js';
import type { Processor } from '../src/processor/processor.js';
import { type Speech, Unspeakable } from '../src/processor/speech.js';
import { processorSettings } from '../src/settings.js';
import { Api } from './support/api.js';
import { Cloud, eventOf, record } from './support/cloud.js';
import { soundIn } from './support/sound.js';

let cloud: Cloud;
let api: Api;
let offline: Processor;

beforeAll(async () => {
  cloud = await Cloud.create();
  api = await Api.start(cloud.variables);
  offline = await processor();
});
afterAll(() => api.close());

const processor = (speech?: Speech, variables: Record<string, string> = {}) =>
  createProcessor(processorSettings({ ...cloud.variables, LOG_LEVEL: 'silent', SPEECH: 'offline', ...variables }), speech);

/** Speaks in a way that a test chooses; faults cannot be had from a real one at will. */
const speaking = (speak: Speech['speak']): Speech => ({ speak });
const beep = { audio: new Uint8Array([1, 2]), contentType: 'audio/mpeg', extension: 'mp3' };

const message = (id: string, receives = 1) => record(JSON.stringify({ id }), { receives });

describe('the processor', () => {
  it('makes a pending clip ready, with audio that can be fetched and heard', async () => {
    const { id } = await api.accepted({ text: 'Hello from SoundBite.' });
    const records = (await cloud.receive()).filter(({ body }) => body.includes(id));

    expect(await offline.process(eventOf(...records))).toEqual({ batchItemFailures: [] });

    const clip = await api.clip(id);
    expect(clip).toMatchObject({ status: 'ready', contentType: 'audio/wav' });
    const answer = await fetch(clip.url ?? '');
    expect(answer.headers.get('content-type')).toBe('audio/wav');
    const sound = soundIn(Buffer.from(await answer.arrayBuffer()));
    expect(sound.seconds).toBeGreaterThan(0.3);
    expect(sound.loudest).toBeGreaterThan(3000);
  });

  it('changes nothing about the answer to the request that made the clip', async () => {
    const key = randomUUID();
    const first = await api.accepted({ text: 'Same again' }, key);
    await offline.process(eventOf(message(first.id)));
    expect(await api.accepted({ text: 'Same again' }, key)).toEqual(first);
  });

  it('speaks a clip once, however often it hears of it', async () => {
    const { id } = await api.accepted({ text: 'Only once' });
    const speech = vi.fn(() => Promise.resolve(beep));
    const once = await processor(speaking(speech));
    for (let i = 0; i < 3; i++) {
      expect(await once.process(eventOf(message(id)))).toEqual({ batchItemFailures: [] });
    }
    expect(speech).toHaveBeenCalledOnce();
    expect(await cloud.clip(id)).toMatchObject({ status: 'ready', spoken: 1, s3Key: `clips/${id}.mp3` });
  });

  it('marks a clip ready once when duplicates race', async () => {
    const { id } = await api.accepted({ text: 'A race' });
    const racers = await Promise.all(Array.from({ length: 8 }, () => processor(speaking(() => Promise.resolve(beep)))));
    const results = await Promise.all(racers.map((racer) => racer.process(eventOf(message(id)))));

    expect(results).toEqual(Array(8).fill({ batchItemFailures: [] }));
    expect(await cloud.clip(id)).toMatchObject({ status: 'ready', spoken: 1 });
  });

  it('reports of a batch only what failed, and works on four at once at most', async () => {
    const clips = await Promise.all(Array.from({ length: 10 }, (_, i) => api.accepted({ text: `Number ${i}` })));
    let now = 0;
    let most = 0;
    const speech = speaking(async (text) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
      if (text === 'Number 3') throw new Error('a hiccup');
      return beep;
    });
    const records = clips.map(({ id }) => message(id));
    const result = await (await processor(speech)).process(eventOf(...records));

    expect(result).toEqual({ batchItemFailures: [{ itemIdentifier: records[3]?.messageId }] });
    expect(most).toBeLessThanOrEqual(4);
    const statuses = await Promise.all(clips.map(async ({ id }) => (await api.clip(id)).status));
    expect(statuses).toEqual(clips.map((_, i) => (i === 3 ? 'pending' : 'ready')));
  });

  it('lets a passing trouble pass: the clip is ready on a later delivery', async () => {
    const { id } = await api.accepted({ text: 'Try again' });
    const failing = await processor(speaking(() => Promise.reject(new Error('a hiccup'))));
    expect((await failing.process(eventOf(message(id, 1)))).batchItemFailures).toHaveLength(1);
    expect((await api.clip(id)).status).toBe('pending');

    expect(await offline.process(eventOf(message(id, 2)))).toEqual({ batchItemFailures: [] });
    expect((await api.clip(id)).status).toBe('ready');
  });

  it('gives up on the last delivery, and still leaves the message to the dead letters', async () => {
    const { id } = await api.accepted({ text: 'Never' });
    const failing = await processor(speaking(() => Promise.reject(new Error('secret detail'))), { MAX_RECEIVES: '2' });
    expect((await failing.process(eventOf(message(id, 2)))).batchItemFailures).toHaveLength(1);

    expect(await api.clip(id)).toMatchObject({
      status: 'failed',
      reason: 'The speech could not be made, after several attempts. Please try again later.',
    });
  });

  it('fails at once, and for good, what cannot be spoken', async () => {
    const { id } = await api.accepted({ text: '...' });
    const refusing = await processor(speaking(() => Promise.reject(new Unspeakable('There is nothing to speak.'))));

    expect(await refusing.process(eventOf(message(id)))).toEqual({ batchItemFailures: [] });
    expect(await api.clip(id)).toMatchObject({ status: 'failed', reason: 'There is nothing to speak.' });
    expect(await offline.process(eventOf(message(id)))).toEqual({ batchItemFailures: [] });
    expect((await cloud.clip(id))?.spoken).toBeUndefined();
  });

  it.each([
    ['no JSON', 'hello'],
    ['no id', '{}'],
    ['an id that is none', '{"id":"42"}'],
    ['a clip nobody stored', JSON.stringify({ id: randomUUID() })],
  ])('leaves a message with %s to the dead letters', async (_what, body) => {
    const stray = record(body, { receives: 3 });
    expect(await offline.process(eventOf(stray))).toEqual({ batchItemFailures: [{ itemIdentifier: stray.messageId }] });
  });

  it('reports all when AWS is away', async () => {
    const away = await processor(speaking(() => Promise.resolve(beep)), { AWS_ENDPOINT_URL: 'http://127.0.0.1:9' });
    expect((await away.process(eventOf(message(randomUUID(), 3), message(randomUUID())))).batchItemFailures).toHaveLength(2);
  });

  it('keeps the audio under the key that the clip names', async () => {
    const { id } = await api.accepted({ text: 'Kept' });
    await offline.process(eventOf(message(id)));
    const head = await cloud.s3.send(new HeadObjectCommand({ Bucket: cloud.name, Key: `clips/${id}.wav` }));
    expect(head.ContentType).toBe('audio/wav');
  });
});
