/**
 * Fills node's compile cache (NODE_COMPILE_CACHE) with what a start of the API loads: starts it, with settings that reach
 * nobody, and ends it as soon as it listens. The production image is made with it.
 */
import { spawn } from 'node:child_process';
import { DIST } from './paths.mjs';

const settings = {
  ENVIRONMENT: 'build',
  LOG_LEVEL: 'warn',
  PORT: '0',
  AWS_REGION: 'none',
  DYNAMODB_TABLE: 'none',
  SQS_QUEUE_URL: 'http://127.0.0.1/none',
  S3_BUCKET: 'none',
};
const app = spawn(process.execPath, [`${DIST}/main.js`], {
  env: { ...process.env, ...settings },
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  timeout: 60_000,
});
app.once('message', () => app.kill('SIGTERM'));
app.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
