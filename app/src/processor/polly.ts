/** Amazon Polly: mp3. */
import { PollyClient, SynthesizeSpeechCommand } from '@aws-sdk/client-polly';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { clientOptions } from '../aws.js';
import type { VoiceId } from '../clips/voices.js';
import type { ProcessorSettings } from '../settings.js';
import { type Audio, type Speech, Unspeakable } from './speech.js';

/** Long texts take Polly a few seconds. */
const REQUEST_TIMEOUT_MS = 15_000;

/** Errors of Polly that mean the request itself, in words for users. */
const REASONS: Readonly<Record<string, string>> = {
  TextLengthExceededException: 'The text is too long to be spoken.',
  InvalidSsmlException: 'The text has markup that cannot be spoken.',
  EngineNotSupportedException: 'This voice is not available.',
  LanguageNotSupportedException: 'This voice does not speak the language.',
  InvalidSampleRateException: 'The text cannot be spoken.',
  ValidationException: 'The text cannot be spoken.',
};

export class PollySpeech implements Speech {
  constructor(
    private readonly polly: PollyClient,
    private readonly engine: ProcessorSettings['POLLY_ENGINE'],
  ) {}

  static with(settings: ProcessorSettings): PollySpeech {
    const { requestHandler, ...options } = clientOptions(settings, REQUEST_TIMEOUT_MS);
    // The client would speak HTTP/2, which emulators and many proxies do not.
    const polly = new PollyClient({ ...options, requestHandler: new NodeHttpHandler(requestHandler) });
    return new PollySpeech(polly, settings.POLLY_ENGINE);
  }

  async speak(text: string, voiceId: VoiceId): Promise<Audio> {
    try {
      const { AudioStream } = await this.polly.send(
        new SynthesizeSpeechCommand({ Text: text, VoiceId: voiceId, Engine: this.engine, OutputFormat: 'mp3' }),
      );
      if (!AudioStream) throw new Error('Polly answered without audio');
      return { audio: await AudioStream.transformToByteArray(), contentType: 'audio/mpeg', extension: 'mp3' };
    } catch (error) {
      const reason = error instanceof Error ? REASONS[error.name] : undefined;
      throw reason ? new Unspeakable(reason, { cause: error }) : error;
    }
  }
}
