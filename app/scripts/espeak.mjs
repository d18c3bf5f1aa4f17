/**
 * Takes of eSpeak NG's 24 MB of languages only those that our voices speak. Its JavaScript holds a list of the files
 * that lie one after the other in espeak-ng.data; both are rewritten together.
 */
import { readFile } from 'node:fs/promises';
import { PROCESSOR_DIST } from './paths.mjs';

const DATA = 'espeak-ng.data';
const LISTED = /\{filename:"([^"]+)",start:(\d+),end:(\d+)\}/g;
const LANGUAGES = 'ar ca cmn cs da de en es fi fr it ja ko nb nl no pl pt sv tr yue';

/** @returns {import('esbuild').Plugin} */
export function espeak() {
  return {
    name: 'espeak',
    setup(build) {
      /** @type {Uint8Array | undefined} */
      let data;
      build.onLoad({ filter: /espeak-ng-emscripten\/espeak-ng\.js$/ }, async ({ path }) => {
        const trimmed = trim(await readFile(path, 'utf8'), await readFile(path.replace(/[^/]+$/, DATA)));
        data = trimmed.data;
        return { contents: trimmed.code, loader: 'js' };
      });
      build.onEnd(({ outputFiles }) => {
        if (data) outputFiles?.push({ path: `${PROCESSOR_DIST}/${DATA}`, contents: data, hash: '', text: '' });
      });
    },
  };
}

/**
 * @param {string} code
 * @param {Buffer} data
 */
function trim(code, data) {
  const kept = [];
  const list = [];
  let size = 0;
  for (const [, name = '', start, end] of code.matchAll(LISTED)) {
    if (!needed(name)) continue;
    const content = data.subarray(Number(start), Number(end));
    list.push(`{filename:${JSON.stringify(name)},start:${size},end:${size + content.length}}`);
    kept.push(content);
    size += content.length;
  }
  if (kept.length === 0) throw new Error('espeak-ng.js lists its files in a way scripts/espeak.mjs does not know');
  const whole = /files:\[\{filename:.*?\],remote_package_size:\d+/;
  return { code: code.replace(whole, `files:[${list.join(',')}],remote_package_size:${size}`), data: Buffer.concat(kept) };
}

/** @param {string} name */
function needed(name) {
  const [, language] = /\/(\w+)_dict$/.exec(name) ?? [];
  return language ? LANGUAGES.split(' ').includes(language) : !name.includes('/voices/mb/');
}
