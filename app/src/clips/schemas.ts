/** What goes over the wire, once for both validation and OpenAPI. */
import * as z from 'zod';
import { VOICE_IDS } from './voices.js';

export const NewClip = z
  .strictObject({
    text: z
      .string()
      .trim()
      .min(1, 'must not be empty')
      .max(3000, 'must have 3000 characters at most')
      // Half a surrogate pair can be neither stored nor spoken.
      .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
      .meta({ description: 'What to say.', example: 'Hello from SoundBite.' }),
    voiceId: z
      .enum(VOICE_IDS, 'must be a neural voice of Amazon Polly')
      .default('Joanna')
      .meta({ description: 'Who says it: a neural voice of Amazon Polly.' }),
    userId: z
      .string()
      .trim()
      .min(1, 'must not be empty')
      .max(128, 'must have 128 characters at most')
      .optional()
      .meta({ description: 'Whose clip it is. Idempotency keys of different users never meet.', example: 'ana' }),
  })
  .meta({ id: 'NewClip' });

export type NewClip = z.output<typeof NewClip>;

export const ClipId = z.uuid('id must be a UUID').toLowerCase();

const common = {
  id: z.uuid().meta({ example: '3f2a4bb6-6a6f-4c0b-9d5e-0f6a3f6f2c11' }),
  text: z.string(),
  voiceId: z.enum(VOICE_IDS),
  createdAt: z.iso.datetime(),
};

export const AcceptedClip = z
  .object({ ...common, status: z.literal('pending') })
  .meta({ id: 'AcceptedClip' });

export type AcceptedClip = z.output<typeof AcceptedClip>;

export const ClipView = z
  .object({
    ...common,
    status: z.enum(['pending', 'ready', 'failed']),
    url: z.url().optional().meta({ description: 'Where to fetch the audio, for a while. Only when ready.' }),
    contentType: z.string().optional().meta({ description: 'Only when ready.', example: 'audio/mpeg' }),
    reason: z.string().optional().meta({ description: 'Only when failed.' }),
  })
  .meta({ id: 'Clip' });

export type ClipView = z.output<typeof ClipView>;
