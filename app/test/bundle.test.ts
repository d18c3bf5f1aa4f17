import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundleProcessor } from '../scripts/processor.mjs';
import { Api } from './support/api.js';
import { Cloud } from './support/cloud.js';
import { Running } from './support/running.js';

/** Far from any node_modules, as in the Lambda. */
let folder: string;
let cloud: Cloud;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'soundbite-bundle-'));
  await cp('dist/processor', folder, { recursive: true });
  cloud = await Cloud.create();
});
afterAll(() => rm(folder, { recursive: true }));

/** Logs to stdout, as the bundle does; what the handler returns goes to stderr. */
const invoke = async (env: Record<string, string>, event: unknown) => {
  const script = join(folder, 'invoke.mjs');
  await writeFile(
    script,
    `import { handler } from './index.mjs';
    process.stderr.write(JSON.stringify(await handler(${JSON.stringify(event)})));`,
  );
  return Running.node(script, env, folder);
};

it('the bundle speaks a clip on its own, and logs JSON with the ids but without the text', async () => {
  const api = await Api.start(cloud.variables);
  const { id } = await api.accepted({ text: 'purple elephants' });
  const Records = await cloud.receive();
  const lambda = await invoke({ ...cloud.variables, SPEECH: 'offline' }, { Records });

  expect(await lambda.exit()).toBe(0);
  expect(JSON.parse(lambda.stderr)).toEqual({ batchItemFailures: [] });
  expect((await api.clip(id)).status).toBe('ready');
  await api.close();
  const requestId = Records[0]?.messageAttributes['requestId']?.stringValue;
  expect(JSON.parse(lambda.stdout)).toMatchObject({ message: 'clip ready', clipId: id, requestId, environment: 'test' });
  expect(lambda.stdout).not.toContain('elephants');
});

it('the bundle loads with Polly, and without what only the offline speech needs', async () => {
  await rm(join(folder, 'espeak-ng.data'));
  const lambda = await invoke({ ...cloud.variables, SPEECH: 'polly' }, { Records: [] });
  expect(await lambda.exit()).toBe(0);
  expect(JSON.parse(lambda.stderr)).toEqual({ batchItemFailures: [] });
});

it('the same sources make the same bytes', async () => {
  const read = async () =>
    Object.fromEntries(
      await Promise.all(
        (await readdir('dist/processor')).sort().map(async (name) => [name, await readFile(`dist/processor/${name}`, 'base64')] as const),
      ),
    );
  const before = await read();
  await rm('.soundbite/processor.json', { force: true });
  expect((await bundleProcessor()).changed).toBe(false);
  expect(await read()).toEqual(before);
});
