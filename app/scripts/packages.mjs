/**
 * Bundles the packages that the API imports, so that node opens ninety files when it starts and not eighteen hundred, which
 * is half of the work of a start (measured). What is ours stays file by file: src/packages.ts has node find these.
 *
 * A bundle lies within node_modules, and goes with them. It is named by what it was made of, and never changed.
 */
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { CompileError } from './api.mjs';
import { APP, DIST, PACKAGES, PROCESSOR_DIST } from './paths.mjs';

const MODULES = join(APP, 'node_modules');
const FOLDER = join(MODULES, '.bundled');
/** They look for files beside their own; pino belongs to what starts its worker. */
const LEFT_OUT = ['pino', 'thread-stream', 'swagger-ui-dist'];

/** Makes the bundle, unless it is there, and writes down which it is. */
export async function bundlePackages() {
  const packages = (await imported()).filter((name) => !LEFT_OUT.includes(name));
  const made = [join(MODULES, '.package-lock.json'), fileURLToPath(import.meta.url)].map((path) => readFile(path, 'utf8'));
  const name = createHash('sha256').update(JSON.stringify([packages, ...(await Promise.all(made))])).digest('hex').slice(0, 16);
  const folder = join(FOLDER, name);
  if (!(await isThere(folder))) await bundle(packages, folder);
  await writeFile(PACKAGES, JSON.stringify({ folder: name, packages }));
}

/** @returns {Promise<string[]>} what of the dependencies the compiled API imports */
async function imported() {
  /** @type {unknown} */
  const manifest = JSON.parse(await readFile(join(APP, 'package.json'), 'utf8'));
  const { dependencies } = /** @type {{dependencies: object}} */ (manifest);
  /** @type {Set<string>} */
  const found = new Set();
  for (const entry of await readdir(DIST, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.js') || entry.parentPath.startsWith(PROCESSOR_DIST)) continue;
    const code = await readFile(join(entry.parentPath, entry.name), 'utf8');
    for (const [, name = ''] of code.matchAll(/\b(?:from|import)[ (]*['"]([^'"]+)['"]/g)) {
      if (Object.keys(dependencies).some((each) => name === each || name.startsWith(`${each}/`))) found.add(name);
    }
  }
  return [...found].sort();
}

/**
 * @param {string[]} packages
 * @param {string} folder
 */
async function bundle(packages, folder) {
  await mkdir(FOLDER, { recursive: true });
  const unfinished = await mkdtemp(join(FOLDER, '.unfinished-'));
  try {
    await build({
      absWorkingDir: APP,
      entryPoints: Object.fromEntries(packages.map((name) => [name, name])),
      outdir: join(unfinished, 'out'),
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node22',
      external: LEFT_OUT,
      keepNames: true,
      plugins: [entries, optional],
      // For what is CommonJS.
      banner: { js: "import { createRequire as $createRequire } from 'node:module'; const require = $createRequire(import.meta.url);" },
      logLevel: 'silent',
    });
    // Where another process was quicker, its bundle is the same.
    await rename(join(unfinished, 'out'), folder).catch(async (/** @type {unknown} */ error) => {
      if (!(await isThere(folder))) throw error;
    });
  } catch (error) {
    if (!(error instanceof Error && 'errors' in error)) throw error;
    const { errors } = /** @type {import('esbuild').BuildFailure} */ (error);
    throw new CompileError(`packages cannot be bundled: ${errors.map(({ text }) => text).join('\n')}`);
  } finally {
    await rm(unfinished, { recursive: true });
  }
}

/**
 * A module for each package, with the names that node gives it: those of CommonJS are found by loading it.
 * @type {import('esbuild').Plugin}
 */
const entries = {
  name: 'entries',
  setup(build) {
    build.onResolve({ filter: /^/ }, ({ path, kind }) =>
      // By its ending esbuild takes it for a module of node, whose default import of CommonJS is all of it.
      kind === 'entry-point' ? { path: `${path}.mjs`, namespace: 'package' } : undefined,
    );
    build.onLoad({ filter: /^/, namespace: 'package' }, async ({ path }) => {
      const name = path.replace(/\.mjs$/, '');
      /** @type {unknown} */
      const all = await import(name);
      const names = Object.keys(/** @type {object} */ (all)).filter((each) => each !== 'module.exports');
      return { contents: `import '${name}';\nexport { ${names.join(', ')} } from '${name}';\n`, resolveDir: APP };
    });
  },
};

/**
 * Packages that others ask for and do without, such as Nest for its other transports, are asked for in vain later, too.
 * @type {import('esbuild').Plugin}
 */
const optional = {
  name: 'optional',
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, kind, importer, namespace, resolveDir }) => {
      if (pluginData === optional) return undefined;
      const found = await build.resolve(path, { kind, importer, namespace, resolveDir, pluginData: optional });
      return found.errors.length > 0 ? { path, external: true } : found;
    });
  },
};

/** @param {string} path */
const isThere = (path) =>
  access(path).then(
    () => true,
    () => false,
  );
