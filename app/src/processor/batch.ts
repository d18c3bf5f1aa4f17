/** Works through one batch of messages, a few at once, and reports the ones that SQS must keep. */
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';

const AT_ONCE = 4;

/** @param done says whether the message may be forgotten; it never throws */
export async function workThrough(
  { Records }: SQSEvent,
  done: (record: SQSRecord) => Promise<boolean>,
): Promise<SQSBatchResponse> {
  const batchItemFailures: SQSBatchResponse['batchItemFailures'] = [];
  const waiting = Records.values();
  const worker = async () => {
    // All workers draw from the same iterator, so each record is drawn once.
    for (const record of waiting) {
      if (!(await done(record))) batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, Records.length) }, worker));
  return { batchItemFailures };
}
