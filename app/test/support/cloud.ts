/** A table, a queue and a bucket of a test's own in the emulated AWS. */
import { randomUUID } from 'node:crypto';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { DynamoDBDocumentClient, GetCommand, ScanCommand } from '@aws-sdk/lib-dynamodb';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { inject } from 'vitest';
import { type Clip, clipKey } from '../../src/clips/clip.js';

export class Cloud {
  readonly name = `soundbite-${randomUUID()}`;
  readonly endpoint = inject('awsEndpoint');
  private readonly options = {
    region: 'us-east-1',
    endpoint: this.endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  readonly dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient(this.options));
  readonly sqs = new SQSClient({ ...this.options, useQueueUrlAsEndpoint: false });
  readonly s3 = new S3Client(this.options);

  static async create(): Promise<Cloud> {
    const cloud = new Cloud();
    await Promise.all([
      cloud.dynamodb.send(
        new CreateTableCommand({
          TableName: cloud.name,
          BillingMode: 'PAY_PER_REQUEST',
          KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
          AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
        }),
      ),
      cloud.createQueue(cloud.name),
      cloud.s3.send(new CreateBucketCommand({ Bucket: cloud.name })),
    ]);
    return cloud;
  }

  queueUrl(name = this.name): string {
    return `${this.endpoint}/000000000000/${name}`;
  }

  createQueue(name: string): Promise<unknown> {
    return this.sqs.send(new CreateQueueCommand({ QueueName: name }));
  }

  /** What the API needs to use this cloud. */
  get variables(): Record<string, string> {
    return {
      ENVIRONMENT: 'test',
      RELEASE: 'r1',
      REVISION: 'abc123',
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL: this.endpoint,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      DYNAMODB_TABLE: this.name,
      SQS_QUEUE_URL: this.queueUrl(),
      S3_BUCKET: this.name,
      RATE_LIMIT: '1000',
    };
  }

  async clip(id: string): Promise<Clip | undefined> {
    const { Item: item } = await this.dynamodb.send(
      new GetCommand({ TableName: this.name, Key: clipKey(id), ConsistentRead: true }),
    );
    return item as Clip | undefined;
  }

  async clips(): Promise<Clip[]> {
    const { Items: items = [] } = await this.dynamodb.send(new ScanCommand({ TableName: this.name, ConsistentRead: true }));
    return items.filter((item) => String(item['pk']).startsWith('clip#')) as Clip[];
  }

  /** All messages that are visible now, as the Lambda would get them. */
  async receive(queue = this.name): Promise<SQSRecord[]> {
    const records: SQSRecord[] = [];
    for (;;) {
      const { Messages: messages = [] } = await this.sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: this.queueUrl(queue),
          MaxNumberOfMessages: 10,
          MessageAttributeNames: ['All'],
          WaitTimeSeconds: 0,
        }),
      );
      if (messages.length === 0) return records;
      for (const { MessageId, Body, MessageAttributes = {} } of messages) {
        const attributes = Object.entries(MessageAttributes).map(([name, { StringValue }]) => [
          name,
          { dataType: 'String', stringValue: StringValue },
        ]);
        records.push(record(Body ?? '', { messageId: MessageId, messageAttributes: Object.fromEntries(attributes) as never }));
      }
    }
  }
}

/** One record as SQS hands it to Lambda. */
export function record(
  body: string,
  { messageId = randomUUID(), receives = 1, messageAttributes = {} }: Partial<RecordOptions> = {},
): SQSRecord {
  return {
    messageId,
    body,
    messageAttributes,
    attributes: { ApproximateReceiveCount: String(receives) },
  } as SQSRecord;
}

interface RecordOptions {
  messageId: string | undefined;
  receives: number;
  messageAttributes: SQSRecord['messageAttributes'];
}

export const eventOf = (...Records: SQSRecord[]): SQSEvent => ({ Records });
