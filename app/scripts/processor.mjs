/** Bundles the processor with esbuild into a folder that needs nothing beside it. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { build } from 'esbuild';
import { espeak } from './espeak.mjs';
import { CompileError } from './api.mjs';
import { APP, PROCESSOR_DIST, PROCESSOR_SRC } from './paths.mjs';

/** @returns {Promise<{changed: boolean, inputs: Set<string>}>} whether dist/ changed, and the files it was made of */
export async function bundleProcessor() {
  const { outputs, inputs } = await bundle();
  await mkdir(PROCESSOR_DIST, { recursive: true });
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
  return { changed, inputs };
}

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
