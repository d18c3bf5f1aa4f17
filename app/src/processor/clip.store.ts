/** What the processor does to a clip: read it, keep its audio, and end its waiting once. */
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { type DynamoDBDocumentClient, GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { audioKey, type Clip, clipKey } from '../clips/clip.js';
import type { Audio } from './speech.js';

export class ClipStore {
  constructor(
    private readonly dynamodb: DynamoDBDocumentClient,
    private readonly s3: S3Client,
    private readonly table: string,
    private readonly bucket: string,
  ) {}

  async find(id: string): Promise<Clip | undefined> {
    const { Item: item } = await this.dynamodb.send(
      new GetCommand({ TableName: this.table, Key: clipKey(id), ConsistentRead: true }),
    );
    return item as Clip | undefined;
  }

  /** @returns the key in S3; the same clip always has the same, so that a second try only overwrites the first */
  async keep(id: string, { audio, contentType, extension }: Audio): Promise<string> {
    const key = audioKey(id, extension);
    await this.s3.send(
      new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: audio, ContentType: contentType }),
    );
    return key;
  }

  /** @returns false if the clip was no longer pending */
  markReady(id: string, s3Key: string, contentType: string): Promise<boolean> {
    return this.end(id, 'SET #status = :status, s3Key = :s3Key, contentType = :contentType, readyAt = :now ADD spoken :one', {
      ':status': 'ready',
      ':s3Key': s3Key,
      ':contentType': contentType,
      ':now': new Date().toISOString(),
      ':one': 1,
    });
  }

  /** @returns false if the clip was no longer pending */
  markFailed(id: string, reason: string): Promise<boolean> {
    return this.end(id, 'SET #status = :status, reason = :reason, failedAt = :now', {
      ':status': 'failed',
      ':reason': reason,
      ':now': new Date().toISOString(),
    });
  }

  private async end(id: string, change: string, values: Record<string, string | number>): Promise<boolean> {
    try {
      await this.dynamodb.send(
        new UpdateCommand({
          TableName: this.table,
          Key: clipKey(id),
          UpdateExpression: change,
          ConditionExpression: '#status = :pending',
          ExpressionAttributeNames: { '#status': 'status' },
          ExpressionAttributeValues: { ...values, ':pending': 'pending' },
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }
}
