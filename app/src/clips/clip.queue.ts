/** The SQS queue that the processor listens to. */
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { type ClipMessage, REQUEST_ID_ATTRIBUTE } from './clip.js';

export class ClipQueue {
  constructor(
    private readonly sqs: SQSClient,
    private readonly url: string,
  ) {}

  async send(message: ClipMessage, requestId: string): Promise<void> {
    await this.sqs.send(
      new SendMessageCommand({
        QueueUrl: this.url,
        MessageBody: JSON.stringify(message),
        MessageAttributes: { [REQUEST_ID_ATTRIBUTE]: { DataType: 'String', StringValue: requestId } },
      }),
    );
  }
}
