/** The processor put together from its settings. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { clientOptions } from '../aws.js';
import type { ProcessorSettings } from '../settings.js';
import { ClipStore } from './clip.store.js';
import { createProcessorLog } from './log.js';
import { Processor } from './processor.js';
import { loadSpeech, type Speech } from './speech.js';

/** Several minutes of WAV take a moment to upload. */
const UPLOAD_TIMEOUT_MS = 10_000;

export async function createProcessor(settings: ProcessorSettings, speech?: Speech): Promise<Processor> {
  const clips = new ClipStore(
    DynamoDBDocumentClient.from(new DynamoDBClient(clientOptions(settings))),
    new S3Client(clientOptions(settings, UPLOAD_TIMEOUT_MS)),
    settings.DYNAMODB_TABLE,
    settings.S3_BUCKET,
  );
  return new Processor(clips, speech ?? (await loadSpeech(settings)), settings.MAX_RECEIVES, createProcessorLog(settings));
}
