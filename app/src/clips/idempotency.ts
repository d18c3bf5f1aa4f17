/** The memory of requests already answered: which key, whose, and exactly what was asked. */
import { createHash } from 'node:crypto';
import type { NewClip } from './schemas.js';

export interface Claim {
  readonly clipId: string;
  readonly createdAt: string;
  /** Of the request that came first; another one under the same key is a conflict. */
  readonly fingerprint: string;
  /** Epoch seconds. */
  readonly expiresAt: number;
}

/** Keys are the client's words and of any length, so the table gets a digest; a user's keys are theirs alone. */
export const claimKey = (idempotencyKey: string, userId: string | undefined) => ({
  pk: `idempotency#${digest([userId ?? null, idempotencyKey])}`,
});

/** Of the request as understood, so that a default spelled out or a stray space makes no difference. */
export const fingerprint = ({ text, voiceId, userId }: NewClip): string => digest([text, voiceId, userId ?? null]);

// As JSON, so that no two lists can run together into the same bytes.
const digest = (parts: readonly (string | null)[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');
