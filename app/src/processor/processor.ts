/** The story of one message: find its clip, speak it, keep the audio, mark it ready. Safe to hear twice. */
import type { SQSEvent, SQSBatchResponse, SQSRecord } from 'aws-lambda';
import * as z from 'zod';
import { REQUEST_ID_ATTRIBUTE } from '../clips/clip.js';
import { workThrough } from './batch.js';
import type { ClipStore } from './clip.store.js';
import { errorFields, type ProcessorLog } from './log.js';
import { type Speech, Unspeakable } from './speech.js';

const GAVE_UP = 'The speech could not be made, after several attempts. Please try again later.';

const Message = z.object({ id: z.uuid() });

/** What every line about a message says. */
type Fields = Readonly<Record<'messageId' | 'requestId' | 'clipId', string | undefined>>;

export class Processor {
  constructor(
    private readonly clips: ClipStore,
    private readonly speech: Speech,
    private readonly maxReceives: number,
    private readonly log: ProcessorLog,
  ) {}

  process(event: SQSEvent): Promise<SQSBatchResponse> {
    return workThrough(event, (record) => this.done(record));
  }

  /** @returns whether SQS may forget the message; one it keeps comes again, and after the last time goes to the dead letters */
  private async done(record: SQSRecord): Promise<boolean> {
    const requestId = record.messageAttributes[REQUEST_ID_ATTRIBUTE]?.stringValue;
    const id = clipIdIn(record.body);
    const fields = { messageId: record.messageId, requestId, clipId: id };
    if (!id) {
      this.log.error(fields, 'message is not one of ours');
      return false;
    }

    try {
      return await this.speak(id, fields);
    } catch (error) {
      this.log.error({ ...fields, ...errorFields(error) }, 'clip not spoken');
      const receives = Number(record.attributes.ApproximateReceiveCount);
      if (receives >= this.maxReceives) await this.giveUp(id, fields);
      return false;
    }
  }

  private async speak(id: string, fields: Fields): Promise<boolean> {
    const clip = await this.clips.find(id);
    if (!clip) {
      // Kept for a person to see: a clip is always stored before its message is sent.
      this.log.error(fields, 'clip not found');
      return false;
    }
    if (clip.status !== 'pending') {
      this.log.info({ ...fields, status: clip.status }, 'clip already done');
      return true;
    }

    const started = performance.now();
    try {
      const audio = await this.speech.speak(clip.text, clip.voiceId);
      const s3Key = await this.clips.keep(id, audio);
      const first = await this.clips.markReady(id, s3Key, audio.contentType);
      const durationMs = Math.round(performance.now() - started);
      this.log.info({ ...fields, durationMs, bytes: audio.audio.length }, first ? 'clip ready' : 'clip already done');
    } catch (error) {
      if (!(error instanceof Unspeakable)) throw error;
      await this.clips.markFailed(id, error.message);
      this.log.warn({ ...fields, ...errorFields(error) }, 'clip failed');
    }
    return true;
  }

  private async giveUp(id: string, fields: Fields): Promise<void> {
    try {
      await this.clips.markFailed(id, GAVE_UP);
      this.log.warn(fields, 'clip failed');
    } catch (error) {
      this.log.error({ ...fields, ...errorFields(error) }, 'clip could not be marked failed');
    }
  }
}

function clipIdIn(body: string): string | undefined {
  try {
    return Message.parse(JSON.parse(body)).id;
  } catch {
    return undefined;
  }
}
