/**
 * Remembers what was made of which files: by their sizes and times, as make does, and where times differ, as they do after a
 * copy, by their contents. Kept beside dist/, not in it.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { APP } from './paths.mjs';

const FOLDER = join(APP, '.soundbite');

/** @typedef {{size: number, time: number, hash: string}} Stamp */
/** @typedef {Record<string, Stamp>} Stamps by path */
/** @typedef {{inputs: Stamps, outputs: Stamps}} Made */

/** @param {string} name */
const file = (name) => join(FOLDER, `${name}.json`);

/**
 * What it was made of, if neither that nor what was made has changed since.
 * @param {string} name
 * @param {string[]} outputs all that is there now
 * @returns {Promise<Set<string> | undefined>} the files it was made of
 */
export async function unchanged(name, outputs) {
  try {
    const made = await read(name);
    const inputs = Object.keys(made.inputs).map((path) => resolve(APP, path));
    const same = await Promise.all([are(made.inputs, inputs), are(made.outputs, outputs)]);
    return same.every(Boolean) ? new Set(inputs) : undefined;
  } catch {
    return undefined; // nothing is remembered, or something of it is gone
  }
}

/**
 * Remembers it, unless something that it was made of was saved meanwhile.
 * @param {string} name
 * @param {Iterable<string>} inputs
 * @param {Iterable<string>} outputs
 * @param {number} began when it began to be made, in milliseconds since 1970
 */
export async function remember(name, inputs, outputs, began) {
  /** @type {Made} */
  const made = { inputs: await stamps(inputs), outputs: await stamps(outputs) };
  if (Object.values(made.inputs).some(({ time }) => time >= began)) return;
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, '.gitignore'), '*\n');
  await writeFile(file(name), JSON.stringify(made));
}

/** @param {string} name */
async function read(name) {
  /** @type {unknown} */
  const made = JSON.parse(await readFile(file(name), 'utf8'));
  return /** @type {Made} */ (made);
}

/**
 * @param {Iterable<string>} paths
 * @returns {Promise<Stamps>}
 */
async function stamps(paths) {
  /** @type {Stamps} */
  const found = {};
  const one = async (/** @type {string} */ path) => {
    const { size, mtimeMs: time } = await stat(path);
    found[relative(APP, path)] = { size, time, hash: await hash(path) };
  };
  await Promise.all([...paths].map(one));
  return found;
}

/**
 * Whether these files, all of them, are what they were.
 * @param {Stamps} stamps
 * @param {string[]} paths
 */
async function are(stamps, paths) {
  const one = async (/** @type {string} */ path) => {
    const known = stamps[relative(APP, path)];
    const { size, mtimeMs } = await stat(path);
    return known?.size === size && (known.time === mtimeMs || known.hash === (await hash(path)));
  };
  return paths.length === Object.keys(stamps).length && (await Promise.all(paths.map(one))).every(Boolean);
}

/** @param {string} path */
const hash = async (path) => createHash('sha256').update(await readFile(path)).digest('base64');
