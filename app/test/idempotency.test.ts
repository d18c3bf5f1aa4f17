import { describe, expect, it } from 'vitest';
import { claimKey, fingerprint } from '../src/clips/idempotency.js';
import { NewClip } from '../src/clips/schemas.js';

const of = (body: unknown) => fingerprint(NewClip.parse(body));

describe('an idempotency claim', () => {
  it('has a key that tells nothing of the client', () => {
    expect(claimKey('order-1', 'ana').pk).toMatch(/^idempotency#[\da-f]{64}$/);
  });

  it('is of one user and one key: no two run together', () => {
    const keys = [claimKey('ab', 'c'), claimKey('b', 'ca'), claimKey('ab', undefined), claimKey('ab', 'null'), claimKey('abc', '')];
    expect(new Set(keys.map(({ pk }) => pk)).size).toBe(keys.length);
  });

  it('takes requests that mean the same for the same', () => {
    expect(of({ text: ' Hi ' })).toBe(of({ voiceId: 'Joanna', text: 'Hi' }));
  });

  it.each([{ text: 'Ho' }, { text: 'Hi', voiceId: 'Joey' }, { text: 'Hi', userId: 'ana' }])('tells %o from another', (body) => {
    expect(of(body)).not.toBe(of({ text: 'Hi' }));
  });
});
