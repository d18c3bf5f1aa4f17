/** A clip as the table keeps it: what the API and the processor agree on. */
import type { VoiceId } from './voices.js';

export type ClipStatus = 'pending' | 'ready' | 'failed';

export interface Clip {
  readonly id: string;
  readonly status: ClipStatus;
  readonly text: string;
  readonly voiceId: VoiceId;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** Set once SQS has taken the message; a clip without it was never queued. */
  readonly queuedAt?: string;
  /** Epoch seconds; DynamoDB removes the item some time after. */
  readonly expiresAt: number;
  readonly s3Key?: string;
  readonly contentType?: string;
  /** Why it failed, in words fit for a user. */
  readonly reason?: string;
  /** How often it went from pending to ready: 1, or something is broken. */
  readonly spoken?: number;
}

export const clipKey = (id: string) => ({ pk: `clip#${id}` });

export const audioKey = (id: string, extension: string) => `clips/${id}.${extension}`;

/** The message attribute that carries the API's request id to the processor's logs. */
export const REQUEST_ID_ATTRIBUTE = 'requestId';

/** What travels over SQS: only the name of the clip, never its text. */
export interface ClipMessage {
  readonly id: string;
}

/** DynamoDB removes expired items within days, not at once: until then they are treated as gone. */
export const isExpired = (item: { readonly expiresAt: number }, now = Date.now()): boolean =>
  item.expiresAt * 1000 <= now;
