/** The Idempotency-Key header as a parameter of a route. Nest's own @Headers takes neither schema nor pipe. */
import { BadRequestException, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';

const VISIBLE_ASCII = /^[\x21-\x7e]{1,255}$/;

export const IdempotencyKey = createParamDecorator((_data: unknown, context: ExecutionContext): string => {
  const key = context.switchToHttp().getRequest<FastifyRequest>().headers['idempotency-key'];
  if (typeof key === 'string' && VISIBLE_ASCII.test(key)) return key;
  const what = key === undefined ? 'is missing: send' : 'must be';
  throw new BadRequestException(`Idempotency-Key header ${what} 1 to 255 visible ASCII characters, new for each clip`);
});

export const ApiIdempotencyKey = () =>
  ApiHeader({
    name: 'Idempotency-Key',
    required: true,
    description: 'New for each clip. The same key and body again get the same answer; with another body, 409.',
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: VISIBLE_ASCII.source },
  });
