import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { apiSettings, processorSettings, SettingsError } from '../src/settings.js';

const good = {
  ENVIRONMENT: 'staging',
  AWS_REGION: 'eu-central-1',
  DYNAMODB_TABLE: 'clips',
  SQS_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/1/clips',
  S3_BUCKET: 'clips',
};

const problems = (variables: Record<string, string>, read: (v: Record<string, string>) => unknown = apiSettings) => {
  try {
    read(variables);
  } catch (error) {
    return (error as SettingsError).problems;
  }
  return [];
};

const folder = mkdtempSync(join(tmpdir(), 'soundbite-settings-'));
let files = 0;
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const file = (content: string) => {
  const path = join(folder, `value-${files++}`);
  writeFileSync(path, content);
  return path;
};

describe('settings', () => {
  it('have defaults for all that has a sane one', () => {
    expect(apiSettings(good)).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 3000,
      RELEASE: 'unreleased',
      REVISION: 'unknown',
      IDEMPOTENCY_TTL_HOURS: 24,
      PRESIGN_SECONDS: 900,
      LOG_LEVEL: 'info',
      TRUST_PROXY: false,
      SHUTDOWN_TIMEOUT_SECONDS: 10,
      CORS_ORIGINS: [],
    });
  });

  it('name all problems at once, one line each', () => {
    expect(problems({ PORT: 'http', S3_BUCKET: '', SQS_QUEUE_URL: 'clips', RATE_LIMIT: '0' })).toEqual([
      'ENVIRONMENT is missing',
      'AWS_REGION is missing',
      'PORT must be a whole number from 0 to 65535',
      'DYNAMODB_TABLE is missing',
      'SQS_QUEUE_URL must be an http or https address',
      'S3_BUCKET is missing',
      'RATE_LIMIT must be a whole number from 1 to 1000000',
    ]);
  });

  it('show no value in a problem, for it may be a secret', () => {
    expect(problems({ ...good, CORS_ORIGINS: 'hunter2', AWS_ENDPOINT_URL: 'hunter2' }).join()).not.toContain('hunter2');
  });

  it('come from files too, less the newline at the end', () => {
    expect(apiSettings({ ...good, METRICS_TOKEN_FILE: file('s3cret\n') }).METRICS_TOKEN).toBe('s3cret');
    expect(apiSettings({ ...good, S3_BUCKET: '', S3_BUCKET_FILE: file('from-file') }).S3_BUCKET).toBe('from-file');
  });

  it('are refused when given both ways, or by a file that cannot be read', () => {
    expect(problems({ ...good, S3_BUCKET_FILE: file('x') })).toEqual(['S3_BUCKET and S3_BUCKET_FILE are both set; keep one']);
    expect(problems({ ...good, METRICS_TOKEN_FILE: '/nowhere/at/all' })).toEqual([
      'METRICS_TOKEN cannot be read from METRICS_TOKEN_FILE (ENOENT)',
    ]);
  });

  it('want both halves of a credential', () => {
    expect(problems({ ...good, AWS_ACCESS_KEY_ID: 'A' })).toHaveLength(1);
    expect(problems({ ...good, AWS_ACCESS_KEY_ID: 'A', AWS_SECRET_ACCESS_KEY_FILE: file('B') })).toEqual([]);
  });

  it('do not let an answer be remembered longer than its clip', () => {
    expect(problems({ ...good, CLIP_TTL_DAYS: '1', IDEMPOTENCY_TTL_HOURS: '25' })).toEqual([
      'IDEMPOTENCY_TTL_HOURS must not be longer than CLIP_TTL_DAYS',
    ]);
  });

  it.each([
    ['*', ['*']],
    ['https://a.example, http://127.0.0.1:5173', ['https://a.example', 'http://127.0.0.1:5173']],
  ])('take %s as origins', (value, origins) => {
    expect(apiSettings({ ...good, CORS_ORIGINS: value }).CORS_ORIGINS).toEqual(origins);
  });

  it.each(['https://a.example/', 'a.example', '*,https://a.example'])('refuse %s as origins', (value) => {
    expect(problems({ ...good, CORS_ORIGINS: value })).toHaveLength(1);
  });

  it.each([
    ['true', true],
    ['false', false],
    ['10.0.0.0/8, ::1', '10.0.0.0/8, ::1'],
  ])('take %s as trusted proxies', (value, trusted) => {
    expect(apiSettings({ ...good, TRUST_PROXY: value }).TRUST_PROXY).toBe(trusted);
  });

  it.each([
    ['app.sock', 'SOCKET must be an absolute path'],
    [`/${'é'.repeat(53)}x`, 'SOCKET must be at most 107 bytes long'],
  ])('refuse %s as a socket', (value, problem) => {
    expect(problems({ ...good, SOCKET: value })).toEqual([problem]);
  });

  it('take a socket of just 107 bytes', () => {
    const longest = `/${'é'.repeat(53)}`;
    expect(apiSettings({ ...good, SOCKET: longest }).SOCKET).toBe(longest);
  });

  it('of the processor name what it lacks', () => {
    expect(problems({ SPEECH: 'shout', MAX_RECEIVES: '0' }, processorSettings)).toEqual([
      'AWS_REGION is missing',
      'DYNAMODB_TABLE is missing',
      'S3_BUCKET is missing',
      'SPEECH must be polly or offline',
      'MAX_RECEIVES must be a whole number from 1 to 1000',
    ]);
  });
});
