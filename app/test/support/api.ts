/** The API in this process, on a port of its own, with what it logs. */
import { randomUUID } from 'node:crypto';
import { createApp } from '../../src/app.js';
import type { AcceptedClip, ClipView } from '../../src/clips/schemas.js';
import type { ErrorView } from '../../src/http/error-view.js';
import { createLog } from '../../src/log.js';
import { apiSettings } from '../../src/settings.js';

export type Variables = Record<string, string>;
export type Line = Record<string, unknown>;

export class Api {
  private constructor(
    readonly url: string,
    readonly output: readonly string[],
    readonly close: () => Promise<void>,
  ) {}

  static async start(variables: Variables): Promise<Api> {
    const settings = apiSettings({ ...variables, PORT: '0' });
    const output: string[] = [];
    const app = await createApp(settings, createLog(settings, { write: (line) => void output.push(line) }));
    await app.listen(0, '127.0.0.1');
    return new Api(await app.getUrl(), output, () => app.close());
  }

  get(path: string, headers: Variables = {}): Promise<Response> {
    return fetch(this.url + path, { headers });
  }

  /** @param key null sends none */
  submit(body: unknown, key: string | null = randomUUID(), headers: Variables = {}): Promise<Response> {
    return fetch(`${this.url}/soundbite`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...(key !== null && { 'Idempotency-Key': key }), ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  async accepted(body: unknown, key?: string): Promise<AcceptedClip> {
    const answer = await this.submit(body, key);
    if (answer.status !== 202) throw new Error(`${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as AcceptedClip;
  }

  async clip(id: string): Promise<ClipView> {
    return (await (await this.get(`/soundbite/${id}`)).json()) as ClipView;
  }

  get lines(): Line[] {
    return this.output.map((line) => JSON.parse(line) as Line);
  }
}

export const errorIn = async (answer: Response): Promise<ErrorView> => (await answer.json()) as ErrorView;
