/** Speech without a network, for development and tests: eSpeak NG as JavaScript, WAV out. */
import createEspeak, { type Espeak } from '@echogarden/espeak-ng-emscripten';
import { VOICES, type Voice, type VoiceId } from '../clips/voices.js';
import { type Audio, type Speech, Unspeakable } from './speech.js';
import { wav } from './wav.js';

/** eSpeak's names where they are not simply Polly's in lower case. It has no Australian, no Swiss and so on; its `en` is British. */
const LANGUAGES: Readonly<Record<string, string>> = {
  'ar-AE': 'ar',
  'ca-ES': 'ca',
  'cmn-CN': 'cmn',
  'cs-CZ': 'cs',
  'da-DK': 'da',
  'de-AT': 'de',
  'de-CH': 'de',
  'de-DE': 'de',
  'en-AU': 'en',
  'en-GB': 'en',
  'en-IE': 'en',
  'en-IN': 'en',
  'en-NZ': 'en',
  'en-SG': 'en',
  'en-ZA': 'en',
  'es-ES': 'es',
  'es-MX': 'es-419',
  'es-US': 'es-419',
  'fi-FI': 'fi',
  'fr-CA': 'fr',
  'fr-FR': 'fr',
  'it-IT': 'it',
  'ja-JP': 'ja',
  'ko-KR': 'ko',
  'nb-NO': 'nb',
  'nl-BE': 'nl',
  'nl-NL': 'nl',
  'pl-PL': 'pl',
  'pt-PT': 'pt',
  'sv-SE': 'sv',
  'tr-TR': 'tr',
  'yue-CN': 'yue',
};

export class OfflineSpeech implements Speech {
  private constructor(private readonly espeak: Espeak) {}

  static async load(): Promise<OfflineSpeech> {
    const { eSpeakNGWorker: Worker } = await createEspeak();
    return new OfflineSpeech(new Worker());
  }

  /** Blocks while it speaks: about a second of work for a minute of audio. */
  speak(text: string, voiceId: VoiceId): Promise<Audio> {
    if (this.espeak.set_voice(espeakVoice(VOICES[voiceId])) !== 0) {
      return Promise.reject(new Unspeakable('This voice is not available.'));
    }
    const parts: Int16Array[] = [];
    this.espeak.synthesize(plain(text), (samples) => {
      // The bytes belong to eSpeak and are gone after this call.
      if (samples) parts.push(new Int16Array(samples.slice(0)));
      return false;
    });
    return Promise.resolve({
      audio: wav(parts, this.espeak.get_samplerate()),
      contentType: 'audio/wav',
      extension: 'wav',
    });
  }
}

/** `en-us+f3`: a language and a variant of its voice. */
export function espeakVoice({ language, gender }: Voice): string {
  return `${LANGUAGES[language] ?? language.toLowerCase()}+${gender === 'female' ? 'f3' : 'm3'}`;
}

/** eSpeak takes angle brackets for SSML; Polly is given plain text, so this one is too. */
const plain = (text: string) => text.replace(/[<>]/g, ' ');
