import * as z from 'zod';

export const HealthView = z
  .object({
    status: z.literal('ok'),
    environment: z.string().meta({ example: 'staging' }),
    release: z.string(),
    revision: z.string().meta({ description: 'The commit it was built from.' }),
  })
  .meta({ id: 'Health' });

export type HealthView = z.output<typeof HealthView>;

const Dependency = z.object({
  ok: z.boolean(),
  latencyMs: z.number(),
  error: z.string().optional().meta({ description: 'What kind of failure.', example: 'ECONNREFUSED' }),
});

export type Dependency = z.output<typeof Dependency>;

export const ReadinessView = z
  .object({
    status: z.enum(['ok', 'unavailable']),
    dependencies: z.object({ dynamodb: Dependency, sqs: Dependency, s3: Dependency }),
  })
  .meta({ id: 'Readiness' });

export type ReadinessView = z.output<typeof ReadinessView>;
