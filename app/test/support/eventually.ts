import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again until the answer is true-ish, and fails when the time is up; what it throws ends it at once. */
export async function eventually<Answer>(ask: () => Answer | Promise<Answer>, ms = 30_000): Promise<NonNullable<Answer>> {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`did not happen within ${ms} ms: ${ask.toString()}`);
    await sleep(20);
  }
}
