/** What it takes to speak. Only the chosen way is loaded: the other would cost every cold start. */
import type { VoiceId } from '../clips/voices.js';
import type { ProcessorSettings } from '../settings.js';

export interface Audio {
  readonly audio: Uint8Array;
  readonly contentType: string;
  readonly extension: string;
}

export interface Speech {
  /** @throws Unspeakable if no further attempt can help */
  speak(text: string, voiceId: VoiceId): Promise<Audio>;
}

/** The text cannot be spoken, now or later. Its message is the reason that users read. */
export class Unspeakable extends Error {
  override readonly name = 'Unspeakable';
}

export async function loadSpeech(settings: ProcessorSettings): Promise<Speech> {
  if (settings.SPEECH === 'polly') {
    const { PollySpeech } = await import('./polly.js');
    return PollySpeech.with(settings);
  }
  const { OfflineSpeech } = await import('./offline.js');
  return OfflineSpeech.load();
}
