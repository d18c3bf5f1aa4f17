import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { remember, unchanged } from '../scripts/made.mjs';

const HOUR = 3_600_000;

let name: string;
let folder: string;
let input: string;
let output: string;
const outputs = () => [output];

beforeEach(async () => {
  name = `test-${randomUUID()}`;
  folder = await mkdtemp(join(tmpdir(), 'soundbite-made-'));
  input = join(folder, 'input.ts');
  output = join(folder, 'output.js');
  for (const path of [input, output]) await writeFile(path, 'one');
  await utimes(input, new Date(Date.now() - HOUR), new Date(Date.now() - HOUR));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
  await rm(`.soundbite/${name}.json`, { force: true });
});

const made = () => remember(name, [input], outputs(), Date.now());

it('knows what was made, and of what', async () => {
  expect(await unchanged(name, outputs())).toBeUndefined();
  await made();
  expect(await unchanged(name, outputs())).toEqual(new Set([input]));
});

it.each<[string, () => Promise<unknown>]>([
  ['an input has another content', () => writeFile(input, 'another')],
  ['an input has another content of the same length', () => writeFile(input, 'two')],
  ['an input is gone', () => rm(input)],
  ['an output has another content', () => writeFile(output, 'another')],
  ['the record is broken', () => writeFile(`.soundbite/${name}.json`, '{"inputs":')],
  ['the record is of another kind', () => writeFile(`.soundbite/${name}.json`, '{}')],
])('is made again when %s', async (_, change) => {
  await made();
  await change();
  expect(await unchanged(name, outputs())).toBeUndefined();
});

it('is not made again when a file was copied, and has another time', async () => {
  await made();
  for (const path of [input, output]) await utimes(path, new Date(0), new Date(0));
  expect(await unchanged(name, outputs())).toEqual(new Set([input]));
});

it('is made again when an output is gone, or one is there that it did not make', async () => {
  await made();
  expect(await unchanged(name, [])).toBeUndefined();
  expect(await unchanged(name, [...outputs(), input])).toBeUndefined();
});

it('forgets what was made while an input was saved', async () => {
  const began = Date.now() - 1000;
  await writeFile(input, 'saved meanwhile');
  await remember(name, [input], outputs(), began);
  expect(await unchanged(name, outputs())).toBeUndefined();
});
