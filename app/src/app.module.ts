/** What the API is made of. Everything is built from the settings; nothing reads the environment by itself. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { SQSClient } from '@aws-sdk/client-sqs';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { type DynamicModule, Module } from '@nestjs/common';
import { clientOptions } from './aws.js';
import { ClipAudio } from './clips/clip.audio.js';
import { ClipQueue } from './clips/clip.queue.js';
import { ClipTable } from './clips/clip.table.js';
import { ClipsController } from './clips/clips.controller.js';
import { Clips } from './clips/clips.js';
import { HealthController } from './health/health.controller.js';
import { Readiness } from './health/readiness.js';
import { MetricsController } from './metrics/metrics.controller.js';
import { Metrics } from './metrics/metrics.js';
import type { ApiSettings } from './settings.js';
import { SETTINGS } from './tokens.js';

@Module({})
export class AppModule {
  static with(settings: ApiSettings, metrics: Metrics): DynamicModule {
    const options = clientOptions(settings);
    const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient(options));
    // By default the host in the queue's address would win over AWS_ENDPOINT_URL.
    const sqs = new SQSClient({ ...options, useQueueUrlAsEndpoint: false });
    const s3 = new S3Client(options);

    const clips = new Clips(
      new ClipTable(dynamodb, settings.DYNAMODB_TABLE),
      new ClipQueue(sqs, settings.SQS_QUEUE_URL),
      new ClipAudio(s3, settings.S3_BUCKET, settings.PRESIGN_SECONDS),
      metrics,
      settings,
    );
    return {
      module: AppModule,
      controllers: [ClipsController, HealthController, MetricsController],
      providers: [
        { provide: SETTINGS, useValue: settings },
        { provide: Metrics, useValue: metrics },
        { provide: Clips, useValue: clips },
        { provide: Readiness, useValue: new Readiness(dynamodb, sqs, s3, settings) },
      ],
    };
  }
}
