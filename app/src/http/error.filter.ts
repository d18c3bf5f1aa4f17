/** Turns whatever was thrown into the one shape of errors; what the client may not know goes to the log. */
import { STATUS_CODES } from 'node:http';
import { type ArgumentsHost, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isAwsFailure } from '../aws-failure.js';
import type { Logger } from '../log.js';
import type { ErrorView } from './error-view.js';

/** Seconds after which asking again makes sense when AWS is in trouble. */
const RETRY_AFTER = 5;

export class ErrorFilter implements ExceptionFilter {
  constructor(private readonly log: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();

    const { statusCode, message } = answerTo(error);
    if (statusCode >= 500) this.log.error({ err: error, requestId: request.id }, message);
    if (statusCode === 503 && !reply.hasHeader('Retry-After')) reply.header('Retry-After', RETRY_AFTER);
    answer(request, reply, statusCode, message);
  }
}

/** For addresses so broken that Fastify finds no route, and so neither hooks nor filters run. */
export function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { statusCode, message } = answerTo(error);
  reply.header('X-Request-Id', request.id);
  answer(request, reply, statusCode, message);
}

function answer({ id: requestId }: FastifyRequest, reply: FastifyReply, statusCode: number, message: string): void {
  const error = STATUS_CODES[statusCode] ?? 'Error';
  reply.code(statusCode).send({ statusCode, error, message, requestId } satisfies ErrorView);
}

export function answerTo(error: unknown): Pick<ErrorView, 'statusCode' | 'message'> {
  if (error instanceof HttpException) return { statusCode: error.getStatus(), message: messageOf(error) };
  if (isAwsFailure(error)) return { statusCode: 503, message: 'A service we depend on is not available; try again later' };
  if (isRefused(error)) return { statusCode: error.statusCode, message: error.message };
  return { statusCode: 500, message: 'Something went wrong on our side' };
}

/** Nest wraps lists of problems; a client wants one line. */
function messageOf(exception: HttpException): string {
  const response = exception.getResponse();
  const message = typeof response === 'object' && 'message' in response ? response.message : exception.message;
  return Array.isArray(message) ? message.join('; ') : String(message);
}

/** Fastify refuses bad JSON, oversized bodies and the like with a status of its own. */
function isRefused(error: unknown): error is Error & { statusCode: number } {
  if (!(error instanceof Error) || !('statusCode' in error)) return false;
  return typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500;
}
