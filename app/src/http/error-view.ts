/** The one shape of every error, and how OpenAPI hears of it. */
import { applyDecorators } from '@nestjs/common';
import { ApiInternalServerErrorResponse, ApiServiceUnavailableResponse, ApiTooManyRequestsResponse } from '@nestjs/swagger';
import * as z from 'zod';

export const ErrorView = z
  .object({
    statusCode: z.int().meta({ example: 400 }),
    error: z.string().meta({ example: 'Bad Request' }),
    message: z.string().meta({ example: 'text must not be empty' }),
    requestId: z.string().meta({ description: 'Also in the X-Request-Id header and in the logs.' }),
  })
  .meta({ id: 'Error' });

export type ErrorView = z.output<typeof ErrorView>;

const retryAfter = { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' as const } } };

/** What any route may answer. */
export const ApiErrors = () =>
  applyDecorators(
    ApiTooManyRequestsResponse({ description: 'Too many requests.', standardSchema: ErrorView, headers: retryAfter }),
    ApiInternalServerErrorResponse({ description: 'A bug of ours.', standardSchema: ErrorView }),
    ApiServiceUnavailableResponse({
      description: 'AWS did not answer as it should: the same request may work later.',
      standardSchema: ErrorView,
      headers: retryAfter,
    }),
  );
