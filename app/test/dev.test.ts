import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventually } from './support/eventually.js';
import { freePort } from './support/ports.js';
import { Running } from './support/running.js';

const FILE = 'src/health/health.controller.ts';

/** A copy of the app, for these tests spoil its sources. */
let folder: string;
let port: number;
let source: string;
let dev: Running | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'soundbite-dev-'));
  for (const name of ['src', 'scripts', 'dist', 'package.json', 'tsconfig.json']) await cp(name, join(folder, name), { recursive: true });
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  port = await freePort();
  source = await readFile(FILE, 'utf8');
});

afterEach(async () => {
  dev?.kill();
  await rm(folder, { recursive: true });
});

const start = (variables: Record<string, string> = {}) => {
  dev = Running.node(
    join(folder, 'scripts/dev.mjs'),
    {
      PORT: String(port),
      ENVIRONMENT: 'first',
      AWS_REGION: 'us-east-1',
      DYNAMODB_TABLE: 'clips',
      SQS_QUEUE_URL: 'http://127.0.0.1/000000000000/clips',
      S3_BUCKET: 'clips',
      ...variables,
    },
    folder,
  );
  return dev;
};

const save = (content: string) => writeFile(join(folder, FILE), content);
const saying = (environment: string) => source.replace('environment, release,', `environment: '${environment}', release,`);

const environment = async () => {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/health`, { headers: { Connection: 'close' } });
    return ((await answer.json()) as { environment: string }).environment;
  } catch {
    return undefined;
  }
};
const isThere = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const answers = (name: string) => eventually(async () => (await environment()) === name);

it('a save goes live; what does not compile or crashes is shown, and the next save mends it', async () => {
  const running = start();
  await answers('first');

  await save(saying('second'));
  await answers('second');

  await save(source.replace('return {', 'return {{'));
  await running.said(new RegExp(`dev: ${FILE}:\\d+: `));
  expect(await environment()).toBe('second');

  await save(saying('third'));
  await answers('third');

  await save(`throw new Error('boom');\n${source}`);
  await running.said('app ended with exit code 1');
  await running.said('waiting for the next save');

  await save(saying('fourth'));
  await answers('fourth');

  await writeFile(join(folder, 'src/processor/wav.ts'), 'export const = 1;');
  await running.said(/src\/processor\/wav\.ts:1: /);
  expect(await environment()).toBe('fourth');

  running.signal('SIGTERM');
  expect(await running.exit()).toBe(0);
  expect(await environment()).toBeUndefined();
  // It leaves nobody; who ended counts as there until init has taken note of it.
  await eventually(() => !isThere(-(running.child.pid ?? 0)));
});

it('ends as the app did when the very first start fails', async () => {
  const running = start({ S3_BUCKET: '' });
  expect(await running.exit()).toBe(1);
  expect(running.stderr).toContain('S3_BUCKET is missing');
});

it('ends with the error when the sources never compiled', async () => {
  await save('export const = 1;');
  const running = start();
  expect(await running.exit()).toBe(1);
  expect(running.stderr).toContain(`${FILE}:1: `);
});

it('lets a debugger into the app, and only there', async () => {
  const inspect = `127.0.0.1:${await freePort()}`;
  const running = start({ INSPECT: inspect });
  await answers('first');
  expect(running.stderr.match(/Debugger listening/g)).toHaveLength(1);
  const targets = (await (await fetch(`http://${inspect}/json/list`)).json()) as { title: string }[];
  expect(targets.map(({ title }) => title)).toEqual([expect.stringContaining('dist/main.js')]);
  running.signal('SIGINT');
  expect(await running.exit()).toBe(0);
});

it('clears dist/ of what no source makes any more', async () => {
  await writeFile(join(folder, 'dist/stale.js'), '');
  await writeFile(join(folder, 'dist/processor/stale.mjs'), '');
  const build = Running.node(join(folder, 'scripts/build.mjs'), {}, folder);
  expect(await build.exit()).toBe(0);
  expect(await readdir(join(folder, 'dist'))).not.toContain('stale.js');
  expect(await readdir(join(folder, 'dist/processor'))).not.toContain('stale.mjs');
});
