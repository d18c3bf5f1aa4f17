/** Before all tests: dist/ is built, and an AWS is there; TEST_AWS_ENDPOINT_URL's, or a ministack of our own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { compileApi } from '../../scripts/api.mjs';
import { bundlePackages } from '../../scripts/packages.mjs';
import { bundleProcessor } from '../../scripts/processor.mjs';
import { freePort } from './ports.js';
import { eventually } from './eventually.js';

declare module 'vitest' {
  export interface ProvidedContext {
    awsEndpoint: string;
  }
}

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const [{ endpoint, stop }] = await Promise.all([emulator(), compileApi().then(bundlePackages), bundleProcessor()]);
  provide('awsEndpoint', endpoint);
  return stop;
}

async function emulator() {
  const { TEST_AWS_ENDPOINT_URL: given, TEST_PYTHON: python = 'python3' } = process.env;
  if (given) return { endpoint: given, stop: () => Promise.resolve() };

  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const folder = await mkdtemp(join(tmpdir(), 'soundbite-test-'));
  let output = '';
  const child = spawn(python, ['-m', 'ministack'], {
    cwd: folder,
    env: {
      ...process.env,
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      SFTP_ENABLED: '0',
      IOT_MTLS_ENABLED: '0',
      TMPDIR: folder,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.on('error', (error) => (output += error.message));
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (output += part.toString()));

  await eventually(async () => {
    if (child.exitCode !== null || child.pid === undefined) {
      throw new Error(`${python} -m ministack did not start; set TEST_PYTHON or TEST_AWS_ENDPOINT_URL\n${output}`);
    }
    return fetch(`${endpoint}/_ministack/health`).then(
      (answer) => answer.ok,
      () => false,
    );
  });
  return {
    endpoint,
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
