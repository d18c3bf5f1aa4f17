/** Reads a WAV file as strictly as a player would have to. */
export function soundIn(file: Buffer): { seconds: number; loudest: number } {
  const word = (at: number) => file.toString('latin1', at, at + 4);
  if (word(0) !== 'RIFF' || word(8) !== 'WAVE' || word(12) !== 'fmt ' || word(36) !== 'data') throw new Error('not a WAV file');
  const bytes = file.readUInt32LE(40);
  if (file.length !== 44 + bytes || file.readUInt32LE(4) !== file.length - 8) throw new Error('its lengths are wrong');
  let loudest = 0;
  for (let at = 44; at < file.length; at += 2) loudest = Math.max(loudest, Math.abs(file.readInt16LE(at)));
  return { seconds: bytes / file.readUInt32LE(28), loudest };
}
