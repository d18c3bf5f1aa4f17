/**
 * Every variable SoundBite reads is named in this file and read nowhere else.
 * Values are checked all at once, so that one start shows everything that is wrong.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';

const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be a whole number from ${min} to ${max}`);

const url = z.url({ protocol: /^https?$/, error: 'must be an http or https address' });

const level = z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']);

/** `*`, or exact origins as a browser sends them: scheme, host and port, no path. */
const origins = z
  .string()
  .transform((list) => list.split(',').map((origin) => origin.trim()).filter(Boolean))
  .refine(
    (list) => list.every((origin) => origin === '*' || isOrigin(origin)),
    'must be * or a comma list of origins such as https://example.com',
  )
  .refine((list) => !list.includes('*') || list.length === 1, 'must not mix * with other origins');

/** `false`, `true`, or a comma list of the proxies' addresses or networks. */
const proxies = z
  .string()
  .regex(/^(true|false|[\da-fA-F]*[.:][\da-fA-F.:/, ]*)$/, 'must be true, false or a comma list of addresses')
  .transform((value) => (value === 'true' || value === 'false' ? value === 'true' : value));

/** Longer ones do not fit into a socket's address, and would be cut off: unix(7). */
const SOCKET_BYTES = 107;

const socket = z
  .string()
  .startsWith('/', 'must be an absolute path')
  .refine((path) => Buffer.byteLength(path) <= SOCKET_BYTES, `must be at most ${SOCKET_BYTES} bytes long`);

const aws = {
  AWS_REGION: z.string(),
  AWS_ENDPOINT_URL: url.optional(),
  // Read here only so that they too can come from files; without one the SDK finds its own.
  AWS_ACCESS_KEY_ID: z.string().optional(),
  AWS_SECRET_ACCESS_KEY: z.string().optional(),
  AWS_SESSION_TOKEN: z.string().optional(),
};

const about = {
  ENVIRONMENT: z.string(),
  RELEASE: z.string().default('unreleased'),
  REVISION: z.string().default('unknown'),
  LOG_LEVEL: level.default('info'),
};

const api = z
  .object({
    ...about,
    ...aws,
    HOST: z.string().default('127.0.0.1'),
    PORT: integer(0, 65_535).default(3000),
    SOCKET: socket.optional(),
    DYNAMODB_TABLE: z.string(),
    SQS_QUEUE_URL: url,
    S3_BUCKET: z.string(),
    CLIP_TTL_DAYS: integer(1, 3650).default(30),
    IDEMPOTENCY_TTL_HOURS: integer(1, 87_600).default(24),
    CORS_ORIGINS: origins.default([]),
    RATE_LIMIT: integer(1, 1_000_000).default(100),
    RATE_WINDOW_SECONDS: integer(1, 86_400).default(60),
    PRESIGN_SECONDS: integer(1, 604_800).default(900),
    METRICS_TOKEN: z.string().optional(),
    TRUST_PROXY: proxies.default(false),
    SHUTDOWN_TIMEOUT_SECONDS: integer(1, 900).default(10),
  })
  // A remembered answer must not outlive the clip it names.
  .refine((s) => s.IDEMPOTENCY_TTL_HOURS <= s.CLIP_TTL_DAYS * 24, {
    path: ['IDEMPOTENCY_TTL_HOURS'],
    error: 'must not be longer than CLIP_TTL_DAYS',
  });

const processor = z.object({
  ...about,
  ...aws,
  // Lambda may run without a name for its environment; logs then say so.
  ENVIRONMENT: z.string().default('unknown'),
  DYNAMODB_TABLE: z.string(),
  S3_BUCKET: z.string(),
  SPEECH: z.enum(['polly', 'offline'], { error: 'must be polly or offline' }),
  POLLY_ENGINE: z.enum(['standard', 'neural', 'long-form', 'generative']).default('neural'),
  MAX_RECEIVES: integer(1, 1000).default(3),
});

export type ApiSettings = Readonly<z.output<typeof api>>;
export type ProcessorSettings = Readonly<z.output<typeof processor>>;
export type AwsSettings = Pick<ApiSettings, keyof typeof aws>;

type Variables = Readonly<Record<string, string | undefined>>;

/** All problems of one start: its message names each on a line of its own. */
export class SettingsError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(
      [`SoundBite cannot start; set these variables (or NAME_FILE):`, ...problems.map((line) => `  ${line}`)].join(
        '\n',
      ),
    );
    this.name = 'SettingsError';
  }
}

/** @throws SettingsError naming every missing or wrong variable */
export const apiSettings = (variables: Variables): ApiSettings => read(api, variables);

/** @throws SettingsError naming every missing or wrong variable */
export const processorSettings = (variables: Variables): ProcessorSettings => read(processor, variables);

function read<Shape extends z.ZodRawShape>(schema: z.ZodObject<Shape>, variables: Variables): z.output<typeof schema> {
  const problems = new Map<string, string>();
  const values: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    try {
      const value = valueOf(name, variables);
      if (value !== undefined) values[name] = value;
    } catch (error) {
      problems.set(name, error instanceof Error ? error.message : String(error));
    }
  }

  const result = schema.safeParse(values);
  for (const issue of result.error?.issues ?? []) {
    const name = String(issue.path[0]);
    if (problems.has(name)) continue;
    problems.set(name, name in values ? issue.message : 'is missing');
  }
  const half = 'AWS_ACCESS_KEY_ID' in values !== 'AWS_SECRET_ACCESS_KEY' in values;
  if (half) problems.set('AWS_ACCESS_KEY_ID', 'and AWS_SECRET_ACCESS_KEY must be given together');

  if (problems.size > 0 || !result.success) {
    throw new SettingsError([...problems].map(([name, problem]) => `${name} ${problem}`));
  }
  return result.data;
}

/** The variable itself or the content of the file NAME_FILE; empty counts as not given. */
function valueOf(name: string, variables: Variables): string | undefined {
  const value = variables[name];
  const file = variables[`${name}_FILE`];
  if (!file) return value === '' ? undefined : value;
  if (value) throw new Error(`and ${name}_FILE are both set; keep one`);
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    throw new Error(`cannot be read from ${name}_FILE (${code})`, { cause: error });
  }
  return content.replace(/\r?\n$/, '') || undefined;
}

function isOrigin(value: string): boolean {
  try {
    return new URL(value).origin === value;
  } catch {
    return false;
  }
}
