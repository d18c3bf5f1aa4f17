/** The life of a clip as the API sees it: submitted once, found again, its audio lent out. */
import { randomUUID } from 'node:crypto';
import { ConflictException, NotFoundException } from '@nestjs/common';
import type { Metrics } from '../metrics/metrics.js';
import type { ApiSettings } from '../settings.js';
import type { ClipAudio } from './clip.audio.js';
import type { Clip } from './clip.js';
import type { ClipQueue } from './clip.queue.js';
import type { ClipTable } from './clip.table.js';
import { type Claim, claimKey, fingerprint } from './idempotency.js';
import type { AcceptedClip, ClipView, NewClip } from './schemas.js';

export class Clips {
  constructor(
    private readonly table: ClipTable,
    private readonly queue: ClipQueue,
    private readonly audio: ClipAudio,
    private readonly metrics: Metrics,
    private readonly settings: Pick<ApiSettings, 'CLIP_TTL_DAYS' | 'IDEMPOTENCY_TTL_HOURS'>,
  ) {}

  /**
   * Stores and queues a clip, once a key: the same request again gets the same answer.
   * @throws ConflictException if the key was used for another request
   */
  async submit(request: NewClip, idempotencyKey: string, requestId: string): Promise<AcceptedClip> {
    const clip = this.newClip(request);
    const claim = this.claimFor(clip, request);

    const earlier = await this.table.create(clip, claimKey(idempotencyKey, request.userId), claim);
    if (!earlier) {
      this.metrics.clipCreated();
      await this.enqueue(clip.id, requestId);
      return accepted(claim, request);
    }

    if (earlier.fingerprint !== claim.fingerprint) {
      throw new ConflictException('Idempotency-Key was already used for another request: send a new key');
    }
    await this.enqueueIfForgotten(earlier.clipId, requestId);
    return accepted(earlier, request);
  }

  async find(id: string): Promise<ClipView> {
    const clip = await this.table.find(id);
    if (!clip) throw new NotFoundException(`There is no clip ${id}`);
    const { status, text, voiceId, createdAt, s3Key, contentType, reason } = clip;
    const view = { id, status, text, voiceId, createdAt };
    if (status === 'ready' && s3Key) {
      return { ...view, url: await this.audio.url(s3Key), ...(contentType && { contentType }) };
    }
    return status === 'failed' && reason ? { ...view, reason } : view;
  }

  private newClip({ text, voiceId }: NewClip): Clip {
    const now = Date.now();
    return {
      id: randomUUID(),
      status: 'pending',
      text,
      voiceId,
      createdAt: new Date(now).toISOString(),
      expiresAt: Math.floor(now / 1000) + this.settings.CLIP_TTL_DAYS * 86_400,
    };
  }

  private claimFor({ id, createdAt }: Clip, request: NewClip): Claim {
    const seconds = Math.floor(Date.parse(createdAt) / 1000) + this.settings.IDEMPOTENCY_TTL_HOURS * 3600;
    return { clipId: id, createdAt, fingerprint: fingerprint(request), expiresAt: seconds };
  }

  /** Send first, note it after: a crash between the two sends twice, which the processor bears; never not at all. */
  private async enqueue(id: string, requestId: string): Promise<void> {
    await this.queue.send({ id }, requestId);
    await this.table.markQueued(id);
  }

  /** The request that made the clip may have died before it reached the queue; this one then makes it good. */
  private async enqueueIfForgotten(id: string, requestId: string): Promise<void> {
    const clip = await this.table.find(id);
    if (clip?.status === 'pending' && !clip.queuedAt) await this.enqueue(id, requestId);
  }
}

/** Made from the claim and the request alone, so that it is the same however far the clip has come since. */
const accepted = ({ clipId, createdAt }: Claim, { text, voiceId }: NewClip): AcceptedClip => ({
  id: clipId,
  status: 'pending',
  text,
  voiceId,
  createdAt,
});
