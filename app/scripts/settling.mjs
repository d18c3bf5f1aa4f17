/** Tells when what is being saved has been written. */
import { statSync } from 'node:fs';

/** Editors write a file in several steps: most empty it first, and on a busy machine it stays so for longer. */
export const SETTLE_MS = 25;
export const EMPTY_MS = 500;

/**
 * @param {(paths: string[]) => void} written gets them when nothing was saved for a moment, a longer one where one is empty
 * @returns {(path: string) => void} to be told of each file that is saved
 */
export function settling(written) {
  /** @type {Set<string>} */
  const saved = new Set();
  /** @type {NodeJS.Timeout | undefined} */
  let timer;

  function end() {
    const paths = [...saved];
    saved.clear();
    written(paths);
  }

  return (path) => {
    saved.add(path);
    clearTimeout(timer);
    timer = setTimeout(() => {
      if ([...saved].some(isEmpty)) timer = setTimeout(end, EMPTY_MS);
      else end();
    }, SETTLE_MS);
  };
}

/** @param {string} path */
function isEmpty(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.isFile() && found.size === 0;
}
