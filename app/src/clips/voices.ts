/**
 * The neural voices of Amazon Polly, with what the offline synthesizer needs to imitate them.
 * Source: https://docs.aws.amazon.com/polly/latest/dg/neural-voices.html; the names are checked against the SDK's own list.
 */
import type { VoiceId as PollyVoiceId } from '@aws-sdk/client-polly';

export interface Voice {
  /** As Polly names it, BCP 47. */
  readonly language: string;
  readonly gender: 'female' | 'male';
}

const female = (language: string): Voice => ({ language, gender: 'female' });
const male = (language: string): Voice => ({ language, gender: 'male' });

export const VOICES = {
  Adriano: male('it-IT'),
  Amy: female('en-GB'),
  Andres: male('es-MX'),
  Aria: female('en-NZ'),
  Arlet: female('ca-ES'),
  Arthur: male('en-GB'),
  Ayanda: female('en-ZA'),
  Bianca: female('it-IT'),
  Brian: male('en-GB'),
  Burcu: female('tr-TR'),
  Camila: female('pt-BR'),
  Daniel: male('de-DE'),
  Danielle: female('en-US'),
  Elin: female('sv-SE'),
  Emma: female('en-GB'),
  Gabrielle: female('fr-CA'),
  Gregory: male('en-US'),
  Hala: female('ar-AE'),
  Hannah: female('de-AT'),
  Hiujin: female('yue-CN'),
  Ida: female('nb-NO'),
  Ines: female('pt-PT'),
  Isabelle: female('fr-BE'),
  Ivy: female('en-US'),
  Jasmine: female('en-SG'),
  Jihye: female('ko-KR'),
  Jitka: female('cs-CZ'),
  Joanna: female('en-US'),
  Joey: male('en-US'),
  Justin: male('en-US'),
  Kajal: female('en-IN'),
  Kazuha: female('ja-JP'),
  Kendra: female('en-US'),
  Kevin: male('en-US'),
  Kimberly: female('en-US'),
  Laura: female('nl-NL'),
  Lea: female('fr-FR'),
  Liam: male('fr-CA'),
  Lisa: female('nl-BE'),
  Lucia: female('es-ES'),
  Lupe: female('es-US'),
  Matthew: male('en-US'),
  Mia: female('es-MX'),
  Niamh: female('en-IE'),
  Ola: female('pl-PL'),
  Olivia: female('en-AU'),
  Pedro: male('es-US'),
  Remi: male('fr-FR'),
  Ruth: female('en-US'),
  Sabrina: female('de-CH'),
  Salli: female('en-US'),
  Seoyeon: female('ko-KR'),
  Sergio: male('es-ES'),
  Sofie: female('da-DK'),
  Stephen: male('en-US'),
  Suvi: female('fi-FI'),
  Takumi: male('ja-JP'),
  Thiago: male('pt-BR'),
  Tomoko: female('ja-JP'),
  Vicki: female('de-DE'),
  Vitoria: female('pt-BR'),
  Zayd: male('ar-AE'),
  Zhiyu: female('cmn-CN'),
} as const satisfies Partial<Record<PollyVoiceId, Voice>>;

export type VoiceId = keyof typeof VOICES;

export const VOICE_IDS = Object.keys(VOICES) as [VoiceId, ...VoiceId[]];
