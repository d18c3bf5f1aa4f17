/**
 * Bundles the processor with esbuild into a folder that needs nothing beside it. What is made of unchanged files is not
 * made again: to bundle the AWS SDK keeps a core busy for a second, while the API starts.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { espeak } from './espeak.mjs';
import { CompileError } from './api.mjs';
import { remember, unchanged } from './made.mjs';
import { APP, PROCESSOR_DIST, PROCESSOR_SRC } from './paths.mjs';

const NAME = 'processor';
/** How it is bundled is an input, too. */
const SCRIPTS = ['./processor.mjs', './espeak.mjs'].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** @returns {Promise<{changed: boolean, inputs: Set<string>}>} whether dist/ changed, and the files it was made of */
export async function bundleProcessor() {
  await mkdir(PROCESSOR_DIST, { recursive: true });
  const known = await unchanged(NAME, await there());
  if (known) return { changed: false, inputs: known };
  const began = Date.now();
  const { outputs, inputs } = await bundle();
  let changed = false;
  for (const [name, content] of outputs) {
    const path = `${PROCESSOR_DIST}/${name}`;
    const before = await readFile(path).catch(() => undefined);
    if (before?.equals(content)) continue;
    await writeFile(path, content);
    changed = true;
  }
  for (const name of await readdir(PROCESSOR_DIST)) {
    if (outputs.has(name)) continue;
    await rm(`${PROCESSOR_DIST}/${name}`, { recursive: true });
    changed = true;
  }
  // Where that cannot be written, it costs time the next time and no bundle.
  await remember(NAME, [...inputs, ...SCRIPTS], await there(), began).catch(() => undefined);
  return { changed, inputs };
}

/** What the folder has now. */
const there = async () => (await readdir(PROCESSOR_DIST)).map((name) => join(PROCESSOR_DIST, name));

async function bundle() {
  try {
    const { outputFiles, metafile } = await build({
      absWorkingDir: APP,
      entryPoints: [`${PROCESSOR_SRC}/index.ts`],
      outdir: PROCESSOR_DIST,
      outExtension: { '.js': '.mjs' },
      write: false,
      metafile: true,
      bundle: true,
      // A chunk for each way to speak, loaded only when it is the one.
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node22',
      // The SDK's ES modules rather than its CommonJS: smaller after tree shaking, and without require().
      mainFields: ['module', 'main'],
      // Names stay, so that a stack trace can be read.
      minifyWhitespace: true,
      minifySyntax: true,
      legalComments: 'none',
      logLevel: 'silent',
      plugins: [espeak()],
    });
    return {
      outputs: new Map(outputFiles.map(({ path, contents }) => [path.slice(PROCESSOR_DIST.length + 1), contents])),
      inputs: new Set(Object.keys(metafile.inputs).map((path) => resolve(APP, path))),
    };
  } catch (error) {
    if (!(error instanceof Error && 'errors' in error)) throw error;
    const { errors } = /** @type {import('esbuild').BuildFailure} */ (error);
    const lines = errors.map(({ location, text }) => `${location?.file ?? ''}:${location?.line ?? 1}: ${text}`);
    throw new CompileError(lines.join('\n'));
  }
}
