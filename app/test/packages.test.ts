/** The bundle of packages: made once for what is imported, taken by the API, and done without where it is not there. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Running } from './support/running.js';

let folder: string;
let running: Running | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'soundbite-packages-'));
});
afterEach(async () => {
  running?.kill();
  await rm(folder, { recursive: true });
});

/** Links every package, without what was bundled of them. */
async function linkPackages() {
  await mkdir(join(folder, 'node_modules'));
  for (const name of await readdir('node_modules')) {
    if (!name.startsWith('.')) await symlink(join(process.cwd(), 'node_modules', name), join(folder, 'node_modules', name));
  }
}

describe('the bundle', () => {
  const bundle = async () => {
    running = Running.node(join(folder, 'bundle.mjs'), {}, folder);
    return { code: await running.exit(), said: running.stderr };
  };
  const importing = (...lines: string[]) => writeFile(join(folder, 'dist/api.js'), lines.join('\n'));
  const made = async () =>
    JSON.parse(await readFile(join(folder, 'dist/packages.json'), 'utf8')) as { folder: string; packages: string[] };
  const bundles = () => readdir(join(folder, 'node_modules/.bundled'));

  beforeEach(async () => {
    for (const name of ['scripts', 'package.json']) await cp(name, join(folder, name), { recursive: true });
    await linkPackages();
    await cp('node_modules/.package-lock.json', join(folder, 'node_modules/.package-lock.json'));
    await writeFile(join(folder, 'bundle.mjs'), "await (await import('./scripts/packages.mjs')).bundlePackages();");
    await mkdir(join(folder, 'dist'));
    await importing("import 'reflect-metadata';", "import { join } from 'node:path';", "import { own } from './own.js';");
  });

  it('has what is imported of the dependencies, and is made once', async () => {
    expect(await bundle()).toEqual({ code: 0, said: '' });
    const first = await made();
    expect(first.packages).toEqual(['reflect-metadata']);
    expect(await bundles()).toEqual([first.folder]);
    await bundle();
    expect(await bundles()).toEqual([first.folder]);
  });

  it('has of CommonJS the names that node gives it, and the default', async () => {
    await importing("import limit from '@fastify/rate-limit';");
    await bundle();
    const place = join(folder, 'node_modules/.bundled', (await made()).folder, '@fastify/rate-limit.mjs');
    const [bundled, itself] = (await Promise.all([import(place), import('@fastify/rate-limit')])) as Record<string, unknown>[];
    const names = Object.keys(itself ?? {}).filter((name) => name !== 'module.exports');
    expect(names).toContain('fastifyRateLimit');
    expect(Object.keys(bundled ?? {}).sort()).toEqual(names.sort());
    expect(bundled?.['default']).toBeTypeOf('function');
    expect(Object(bundled?.['default'])).toHaveProperty('name', 'fastifyRateLimit');
  });

  it('is another for other imports, and for other packages; one that is in use stays', async () => {
    await bundle();
    const first = (await made()).folder;
    await importing("import 'reflect-metadata';", "const { Registry } = await import('prom-client');");
    await bundle();
    const second = await made();
    expect(second.packages).toEqual(['prom-client', 'reflect-metadata']);
    await writeFile(join(folder, 'node_modules/.package-lock.json'), '{}');
    await bundle();
    const third = (await made()).folder;
    expect((await bundles()).sort()).toEqual([first, second.folder, third].sort());
  });

  it('is the same for two that make it at once', async () => {
    const others = [1, 2].map(() => Running.node(join(folder, 'bundle.mjs'), {}, folder));
    expect(await Promise.all(others.map((each) => each.exit()))).toEqual([0, 0]);
    expect(await bundles()).toEqual([(await made()).folder]);
  });

  it('is not made of what cannot be loaded, and nothing is left behind', async () => {
    await importing("import 'zod/absent';");
    expect(await bundle()).toMatchObject({ code: 1, said: expect.stringMatching(/packages cannot be bundled: .*absent/) as string });
    expect(await bundles()).toEqual([]);
  });
});

describe('the API', () => {
  /** Starts it, and tells which files of packages node has loaded. */
  const loaded = async (cwd: string) => {
    running = Running.node(join(cwd, 'dist/main.js'), {
      ENVIRONMENT: 'test',
      PORT: '0',
      AWS_REGION: 'us-east-1',
      DYNAMODB_TABLE: 'clips',
      SQS_QUEUE_URL: 'http://127.0.0.1/000000000000/clips',
      S3_BUCKET: 'clips',
      NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
      NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
    });
    await running.said('"message":"listening"');
    const paths = (running.stdout + running.stderr).matchAll(/\/node_modules\/([\w.@-]+\/[\w.-]+)/g);
    return new Set([...paths].map(([, path]) => path));
  };

  it('loads its packages from the bundle', async () => {
    const paths = [...(await loaded(process.cwd()))];
    expect(paths.some((path) => path?.startsWith('.bundled/'))).toBe(true);
    expect(paths.filter((path) => /^(@nestjs|@aws-sdk|rxjs|zod)\//.test(path ?? ''))).toEqual([]);
  });

  it('starts without, where packages were installed anew', async () => {
    for (const name of ['dist', 'package.json']) await cp(name, join(folder, name), { recursive: true });
    await linkPackages();
    expect([...(await loaded(folder))]).toContain('@nestjs/core');
  });
});
