/** 16 bit mono samples as a WAV file. Format: http://soundfile.sapp.org/doc/WaveFormat/ */
const HEADER_BYTES = 44;

export function wav(parts: readonly Int16Array[], sampleRate: number): Uint8Array {
  const dataBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const file = Buffer.alloc(HEADER_BYTES + dataBytes);
  file.write('RIFF', 0);
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20); // PCM
  file.writeUInt16LE(1, 22); // one channel
  file.writeUInt32LE(sampleRate, 24);
  file.writeUInt32LE(sampleRate * 2, 28); // bytes a second
  file.writeUInt16LE(2, 32); // bytes a sample
  file.writeUInt16LE(16, 34); // bits a sample
  file.write('data', 36);
  file.writeUInt32LE(dataBytes, 40);
  let offset = HEADER_BYTES;
  for (const part of parts) {
    Buffer.from(part.buffer, part.byteOffset, part.byteLength).copy(file, offset);
    offset += part.byteLength;
  }
  return file;
}
