import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { EMPTY_MS, SETTLE_MS, settling } from '../scripts/settling.mjs';

let folder: string;
let file: string;
let written: ReturnType<typeof vi.fn<(paths: string[]) => void>>;
let saved: (path: string) => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'soundbite-settling-'));
  file = join(folder, 'clip.ts');
  written = vi.fn<(paths: string[]) => void>();
  saved = settling(written);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(async () => {
  vi.useRealTimers();
  await rm(folder, { recursive: true });
});

const write = (content: string) => writeFile(file, content);

it('takes what is saved in several steps for one save', async () => {
  await write('export');
  saved(file);
  vi.advanceTimersByTime(SETTLE_MS - 1);
  saved(file);
  vi.advanceTimersByTime(SETTLE_MS - 1);
  expect(written).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(written.mock.calls).toEqual([[[file]]]);
});

it('waits longer for a file that is empty: an editor is writing it', async () => {
  await write('');
  saved(file);
  vi.advanceTimersByTime(SETTLE_MS + EMPTY_MS - 1);
  expect(written).not.toHaveBeenCalled();
  await write('export {};');
  saved(file);
  vi.advanceTimersByTime(SETTLE_MS);
  expect(written).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(2 * EMPTY_MS);
  expect(written).toHaveBeenCalledTimes(1);
});

it('takes a file that stays empty, or is gone, as it is', async () => {
  await write('');
  saved(file);
  vi.advanceTimersByTime(SETTLE_MS);
  vi.advanceTimersByTime(EMPTY_MS);
  expect(written).toHaveBeenCalledTimes(1);
  await rm(file);
  saved(file);
  saved(folder);
  vi.advanceTimersByTime(SETTLE_MS);
  expect(written).toHaveBeenLastCalledWith([file, folder]);
});
