/**
 * Tells of every change below a folder. One plain watcher a directory, because the others lose saves: Node's recursive
 * one (24.19) goes blind for a file that an editor replaced by renaming, and chokidar (5.0, 6.0) swallows a second save
 * within 50 ms of the first.
 */
import { watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @param {string} root
 * @param {(path: string) => void} changed
 * @returns {Promise<() => void>} ends it
 */
export async function watchTree(root, changed) {
  /** @type {Map<string, import('node:fs').FSWatcher>} */
  const watchers = new Map();

  /** @param {string} folder */
  function add(folder) {
    const watcher = watch(folder, (event, name) => {
      const path = join(folder, name ?? '');
      changed(path);
      if (event !== 'rename') return;
      // Something came or went, perhaps a folder: one of the same name as before is another one now.
      drop(path);
      void addBelow(folder).then((found) => found.forEach(changed));
    });
    watcher.on('error', () => drop(folder));
    watchers.set(folder, watcher);
  }

  /** @param {string} folder */
  function drop(folder) {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  }

  /**
   * @param {string} folder
   * @returns {Promise<string[]>} the folders that were new
   */
  async function addBelow(folder) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
    for (const known of watchers.keys()) {
      if (known.startsWith(`${folder}/`) && !folders.includes(known)) drop(known);
    }
    const found = folders.filter((path) => !watchers.has(path));
    found.forEach(add);
    return found;
  }

  add(root);
  await addBelow(root);
  return () => {
    for (const watcher of watchers.values()) watcher.close();
  };
}
