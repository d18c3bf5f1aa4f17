/** Tells a failure of AWS, or of the way to it, from a bug of ours. */

const NETWORK = /^(ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)/;
const NAMES = new Set(['TimeoutError', 'AbortError', 'CredentialsProviderError', 'TokenProviderError']);
/** AWS understood us and says that we asked nonsense: that is ours to mend, and trying again is no use. */
const OURS = new Set(['ValidationException', 'SerializationException']);

export function isAwsFailure(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (NAMES.has(error.name) || NETWORK.test(codeOf(error))) return true;
  return '$metadata' in error && !OURS.has(error.name);
}

/** A word or two for a person that give nothing of the inside away: `ECONNREFUSED`, `ResourceNotFoundException`. */
export function failureName(error: unknown): string {
  if (!(error instanceof Error)) return 'Error';
  return codeOf(error) || error.name;
}

function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : '';
}
