/** Asks what we depend on whether it really answers, with the same rights that serving needs. */
import { HeadBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { type DynamoDBDocumentClient, GetCommand } from '@aws-sdk/lib-dynamodb';
import { failureName } from '../aws-failure.js';
import type { ApiSettings } from '../settings.js';
import type { Dependency, ReadinessView } from './schemas.js';

const DEADLINE_MS = 2000;

type Ask = (abortSignal: AbortSignal) => Promise<unknown>;

export class Readiness {
  constructor(
    private readonly dynamodb: DynamoDBDocumentClient,
    private readonly sqs: SQSClient,
    private readonly s3: S3Client,
    private readonly settings: Pick<ApiSettings, 'DYNAMODB_TABLE' | 'SQS_QUEUE_URL' | 'S3_BUCKET'>,
  ) {}

  async check(): Promise<ReadinessView> {
    const { DYNAMODB_TABLE, SQS_QUEUE_URL, S3_BUCKET } = this.settings;
    const [dynamodb, sqs, s3] = await Promise.all([
      measure((abortSignal) =>
        this.dynamodb.send(new GetCommand({ TableName: DYNAMODB_TABLE, Key: { pk: 'health#ready' } }), { abortSignal }),
      ),
      measure((abortSignal) =>
        this.sqs.send(new GetQueueAttributesCommand({ QueueUrl: SQS_QUEUE_URL, AttributeNames: ['QueueArn'] }), {
          abortSignal,
        }),
      ),
      measure((abortSignal) => this.s3.send(new HeadBucketCommand({ Bucket: S3_BUCKET }), { abortSignal })),
    ]);
    const ok = dynamodb.ok && sqs.ok && s3.ok;
    return { status: ok ? 'ok' : 'unavailable', dependencies: { dynamodb, sqs, s3 } };
  }
}

async function measure(ask: Ask): Promise<Dependency> {
  const started = performance.now();
  const latencyMs = () => Math.round(performance.now() - started);
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  try {
    await Promise.race([ask(deadline), passed(deadline)]);
    return { ok: true, latencyMs: latencyMs() };
  } catch (error) {
    const name = deadline.aborted ? `no answer in ${DEADLINE_MS} ms` : failureName(error);
    return { ok: false, latencyMs: latencyMs(), error: name };
  }
}

/** The SDK looks at the signal only while it waits for an answer, not while it waits to try again. */
const passed = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });
