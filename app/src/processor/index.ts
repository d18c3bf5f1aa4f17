/** The Lambda: made ready once a cold start, then handed batch after batch. */
import type { SQSHandler } from 'aws-lambda';
import { processorSettings } from '../settings.js';
import { createProcessor } from './create.js';

const processor = await createProcessor(processorSettings(process.env));

export const handler: SQSHandler = (event) => processor.process(event);
