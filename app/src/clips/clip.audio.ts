/** The S3 bucket with the audio, lent out by addresses that end. */
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';

export class ClipAudio {
  constructor(
    private readonly s3: S3Client,
    private readonly bucket: string,
    private readonly seconds: number,
  ) {}

  url(key: string): Promise<string> {
    return getSignedUrl(this.s3, new GetObjectCommand({ Bucket: this.bucket, Key: key }), { expiresIn: this.seconds });
  }
}
