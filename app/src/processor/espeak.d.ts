declare module '@echogarden/espeak-ng-emscripten' {
  export interface Espeak {
    /** @returns 0 if there is such a voice */
    set_voice(name: string): number;
    /** In hertz. */
    get_samplerate(): number;
    /** Calls back with 16 bit mono samples, then with null; return true to stop. */
    synthesize(text: string, heard: (samples: ArrayBuffer | null) => boolean): void;
  }
  export default function createEspeak(): Promise<{ eSpeakNGWorker: new () => Espeak }>;
}
