/** Compiles the API file by file with swc: no bundle, so that dist/ mirrors src/ and a save costs one file. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { transform } from '@swc/core';
import { APP, DIST, PACKAGES, PROCESSOR_DIST, PROCESSOR_SRC, SRC } from './paths.mjs';

/** @type {import('@swc/core').Options} */
const OPTIONS = {
  configFile: false,
  swcrc: false,
  sourceMaps: true,
  inlineSourcesContent: false,
  module: { type: 'nodenext' },
  jsc: {
    target: 'es2023',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    keepClassNames: true,
  },
};

/** A file that does not compile: its message begins with file:line. */
export class CompileError extends Error {}

/** Compiles what is in src/ now and removes from dist/ what no source makes any more. */
export async function compileApi() {
  const sources = (await filesIn(SRC)).filter(isApiSource);
  const results = await Promise.all(sources.map(compile));
  const outputs = new Map(results.flat());
  let changed = false;
  for (const [path, content] of outputs) changed = (await writeIfChanged(path, content)) || changed;
  for (const path of await filesIn(DIST)) {
    if (outputs.has(path) || path === PACKAGES || path.startsWith(`${PROCESSOR_DIST}/`)) continue;
    await rm(path);
    changed = true;
  }
  return changed;
}

/** @param {string} path */
const isApiSource = (path) => /(?<!\.d)\.ts$/.test(path) && !path.startsWith(`${PROCESSOR_SRC}/`);

/**
 * @param {string} source
 * @returns {Promise<[string, string][]>} outputs by path
 */
async function compile(source) {
  const output = join(DIST, relative(SRC, source).replace(/\.ts$/, '.js'));
  const code = await readFile(source, 'utf8');
  try {
    const result = await transform(code, {
      ...OPTIONS,
      filename: source,
      sourceFileName: relative(dirname(output), source),
    });
    return [
      [output, `${result.code}//# sourceMappingURL=${basename(output)}.map\n`],
      [`${output}.map`, result.map ?? ''],
    ];
  } catch (error) {
    throw new CompileError(explain(source, error));
  }
}

/**
 * From swc's long report the file and line that editors and terminals can jump to, the problem, and the frame around it.
 * @param {string} source
 * @param {unknown} error
 */
function explain(source, error) {
  const report = stripVTControlCharacters(error instanceof Error ? error.message : String(error));
  const [, problem = report] = /^\s*[x×] (.+)/.exec(report) ?? [];
  const [, line = 1] = /\[[^\]]+:(\d+):\d+\]/.exec(report) ?? [];
  const frame = report.split('\n').filter((row) => /^\s*(\d+ [|│]|[:·] )/.test(row));
  return [`${relative(APP, source)}:${line}: ${problem}`, ...frame].join('\n');
}

/**
 * Unchanged files keep their time, and with it whatever others have cached of them.
 * @param {string} path
 * @param {string} content
 */
async function writeIfChanged(path, content) {
  if ((await readFile(path, 'utf8').catch(() => undefined)) === content) return false;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return true;
}

/** @param {string} folder */
async function filesIn(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}
