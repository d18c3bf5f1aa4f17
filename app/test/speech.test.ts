import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { VoiceId as PollyVoiceId } from '@aws-sdk/client-polly';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VOICE_IDS, VOICES } from '../src/clips/voices.js';
import { espeakVoice, OfflineSpeech } from '../src/processor/offline.js';
import { loadSpeech, type Speech, Unspeakable } from '../src/processor/speech.js';
import { processorSettings } from '../src/settings.js';
import { soundIn } from './support/sound.js';

it('every voice is one of the SDK', () => {
  expect(Object.values(PollyVoiceId)).toEqual(expect.arrayContaining(VOICE_IDS));
});

describe('the offline speech', () => {
  let speech: OfflineSpeech;
  beforeAll(async () => {
    speech = await OfflineSpeech.load();
  });

  it.each(VOICE_IDS)('speaks for %s', async (voiceId) => {
    const { audio, contentType, extension } = await speech.speak('1 2 3', voiceId);
    expect([contentType, extension]).toEqual(['audio/wav', 'wav']);
    const { seconds, loudest } = soundIn(Buffer.from(audio));
    expect(seconds).toBeGreaterThan(0.3);
    expect(loudest).toBeGreaterThan(3000);
  });

  it('has men and women, and languages, that differ', async () => {
    const said = async (voiceId: 'Joanna' | 'Joey' | 'Vicki') =>
      Buffer.from((await speech.speak('Information', voiceId)).audio).toString('base64');
    expect(new Set([await said('Joanna'), await said('Joey'), await said('Vicki')]).size).toBe(3);
    expect(espeakVoice(VOICES.Camila)).toBe('pt-br+f3');
  });

  it('takes angle brackets for text, not for markup', async () => {
    const { audio } = await speech.speak('<one two three', 'Joanna');
    expect(soundIn(Buffer.from(audio)).seconds).toBeGreaterThan(0.3);
  });
});

/** A stand-in, because the emulator has no Polly. */
describe('Polly', () => {
  let server: Server;
  let speech: Speech;
  let asked: { path: string | undefined; version: string; body: unknown };
  let failure: string | undefined;

  beforeAll(async () => {
    const hear = async (request: IncomingMessage) => {
      asked = { path: request.url, version: request.httpVersion, body: JSON.parse(await text(request)) };
    };
    server = createServer((request, response) => {
      void hear(request).then(() => {
        if (!failure) return response.setHeader('Content-Type', 'audio/mpeg').end('mp3!');
        return response.writeHead(400, { 'X-Amzn-ErrorType': failure }).end(JSON.stringify({ message: 'no' }));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    speech = await loadSpeech(
      processorSettings({
        AWS_REGION: 'us-east-1',
        AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        DYNAMODB_TABLE: 'clips',
        S3_BUCKET: 'clips',
        SPEECH: 'polly',
      }),
    );
  });
  afterAll(() => server.close());

  it('is asked for plain text as mp3, over HTTP/1.1', async () => {
    failure = undefined;
    const { audio, contentType, extension } = await speech.speak('Hello <you>', 'Vicki');
    expect([Buffer.from(audio).toString(), contentType, extension]).toEqual(['mp3!', 'audio/mpeg', 'mp3']);
    expect(asked).toMatchObject({
      path: '/v1/speech',
      version: '1.1',
      body: { Engine: 'neural', OutputFormat: 'mp3', Text: 'Hello <you>', VoiceId: 'Vicki' },
    });
  });

  it.each(['TextLengthExceededException', 'InvalidSsmlException', 'EngineNotSupportedException'])(
    'makes %s final, with a reason for users',
    async (name) => {
      failure = name;
      await expect(speech.speak('Hello', 'Vicki')).rejects.toThrow(Unspeakable);
    },
  );

  it.each(['ThrottlingException', 'AccessDeniedException'])('leaves %s to another try', async (name) => {
    failure = name;
    await expect(speech.speak('Hello', 'Vicki')).rejects.toMatchObject({ name });
  });
});
