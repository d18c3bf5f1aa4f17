/** The DynamoDB table: clips and idempotency claims, written together or not at all. */
import { setTimeout as sleep } from 'node:timers/promises';
import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, GetCommand, TransactWriteCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { type Clip, clipKey, isExpired } from './clip.js';
import type { Claim } from './idempotency.js';

type Key = Readonly<{ pk: string }>;

export class ClipTable {
  constructor(
    private readonly dynamodb: DynamoDBDocumentClient,
    private readonly table: string,
  ) {}

  /**
   * Stores the clip under the claim's key, or finds who claimed that key first.
   * @returns nothing when the clip was created, else the earlier claim
   */
  async create(clip: Clip, key: Key, claim: Claim): Promise<Claim | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.write(clip, key, claim);
        return undefined;
      } catch (error) {
        if (!(error instanceof TransactionCanceledException)) throw error;
        const earlier = await this.get<Claim>(key);
        if (earlier) return earlier;
        // Cancelled, yet nobody holds the key: the other transaction is still under way.
        if (attempt === 5) throw error;
        await sleep(25 * 2 ** attempt * (0.5 + Math.random() / 2));
      }
    }
  }

  find(id: string): Promise<Clip | undefined> {
    return this.get<Clip>(clipKey(id));
  }

  async markQueued(id: string): Promise<void> {
    await this.dynamodb.send(
      new UpdateCommand({
        TableName: this.table,
        Key: clipKey(id),
        UpdateExpression: 'SET queuedAt = if_not_exists(queuedAt, :now)',
        ConditionExpression: 'attribute_exists(pk)',
        ExpressionAttributeValues: { ':now': new Date().toISOString() },
      }),
    );
  }

  private write(clip: Clip, key: Key, claim: Claim): Promise<unknown> {
    return this.dynamodb.send(
      new TransactWriteCommand({
        TransactItems: [
          {
            Put: {
              TableName: this.table,
              Item: { ...key, ...claim },
              // An expired claim may linger for days before DynamoDB removes it.
              ConditionExpression: 'attribute_not_exists(pk) OR expiresAt <= :now',
              ExpressionAttributeValues: { ':now': Math.floor(Date.now() / 1000) },
            },
          },
          {
            Put: {
              TableName: this.table,
              Item: { ...clipKey(clip.id), ...clip },
              ConditionExpression: 'attribute_not_exists(pk)',
            },
          },
        ],
      }),
    );
  }

  private async get<Item extends { readonly expiresAt: number }>(key: Key): Promise<Item | undefined> {
    const { Item: item } = await this.dynamodb.send(
      new GetCommand({ TableName: this.table, Key: key, ConsistentRead: true }),
    );
    return item && !isExpired(item as Item) ? (item as Item) : undefined;
  }
}
