import { TransactionCanceledException } from '@aws-sdk/client-dynamodb';
import { ConflictException, ServiceUnavailableException } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { answerTo } from '../src/http/error.filter.js';

const named = (name: string, more: object = {}) => Object.assign(new Error('inside'), { name, ...more });
const fromAws = (name: string) => named(name, { $metadata: { httpStatusCode: 400 } });

describe('the answer to an error', () => {
  it.each([
    ['throttling', fromAws('ProvisionedThroughputExceededException')],
    ['a missing table', fromAws('ResourceNotFoundException')],
    ['refused credentials', fromAws('UnrecognizedClientException')],
    ['no credentials', named('CredentialsProviderError')],
    ['a timeout', named('TimeoutError')],
    ['no connection', named('Error', { code: 'ECONNREFUSED' })],
    ['no address', named('Error', { code: 'ENOTFOUND' })],
    ['a contended transaction', new TransactionCanceledException({ message: 'inside', $metadata: {} })],
  ])('is 503 for %s', (_what, error) => {
    expect(answerTo(error)).toEqual({ statusCode: 503, message: 'A service we depend on is not available; try again later' });
  });

  it.each([
    ['nonsense we sent to AWS', fromAws('ValidationException')],
    ['a bug', new TypeError('inside')],
    ['what is not even an error', 'inside'],
  ])('is 500 without a word of the inside for %s', (_what, error) => {
    expect(answerTo(error)).toEqual({ statusCode: 500, message: 'Something went wrong on our side' });
  });

  it('keeps what we said on purpose', () => {
    expect(answerTo(new ConflictException('taken'))).toEqual({ statusCode: 409, message: 'taken' });
    expect(answerTo(new ServiceUnavailableException('later')).statusCode).toBe(503);
  });

  it("keeps Fastify's refusals, but not its failures", () => {
    expect(answerTo(named('Error', { statusCode: 413 }))).toEqual({ statusCode: 413, message: 'inside' });
    expect(answerTo(named('Error', { statusCode: 500 })).message).toBe('Something went wrong on our side');
  });
});
