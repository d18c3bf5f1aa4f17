/**
 * `npm run dev`: save a file in src/ and the new code answers. What does not compile is shown and changes nothing;
 * what crashes is shown and waits for the next save. Only a crash of the very first start ends it, for a supervisor to see.
 */
import { stop as stopEsbuild } from 'esbuild';
import { compileApi } from './api.mjs';
import { AppProcess } from './app-process.mjs';
import { bundlePackages } from './packages.mjs';
import { PROCESSOR_SRC, SRC } from './paths.mjs';
import { bundleProcessor } from './processor.mjs';
import { settling } from './settling.mjs';
import { watchTree } from './watch.mjs';

/** @param {string} line */
function say(line) {
  process.stderr.write(`dev: ${line}\n`);
}

let firstStart = true;
let stopping = false;

const app = new AppProcess(({ code, wasReady }) => {
  say(`app ended with exit code ${code}`);
  if (firstStart && !wasReady) process.exit(code || 1);
  say('waiting for the next save');
});

/**
 * Files the processor is made of: others need no new bundle.
 * @type {Set<string>}
 */
let processorInputs = new Set();

async function compileAndStart() {
  const started = performance.now();
  const changed = await compileApi();
  if (!changed && !firstStart) return;
  await bundlePackages();
  await app.stop();
  if (stopping) return;
  app.start(() => {
    firstStart = false;
    say(`app ready in ${Math.round(performance.now() - started)} ms`);
  });
}

/** @param {Set<string>} files */
async function bundle(files) {
  const concerned = [...files].some((file) => processorInputs.has(file) || file.startsWith(`${PROCESSOR_SRC}/`));
  if (processorInputs.size > 0 && !concerned) return;
  const started = performance.now();
  const { changed, inputs } = await bundleProcessor();
  processorInputs = inputs;
  if (changed) say(`processor bundled in ${Math.round(performance.now() - started)} ms`);
}

/** @param {unknown} error */
const show = (error) => say(error instanceof Error ? error.message : String(error));

/** @type {Set<string>} */
let saved = new Set();
let working = Promise.resolve();

/** One round at a time; what is saved during one makes the next. */
async function work() {
  const files = saved;
  saved = new Set();
  if (files.size === 0 || stopping) return;
  await compileAndStart().catch(show);
  await bundle(files).catch(show);
}

const written = settling((files) => {
  for (const file of files) saved.add(file);
  working = working.then(work);
});
const unwatch = await watchTree(SRC, written);

/** @param {NodeJS.Signals} signal */
async function end(signal) {
  if (stopping) return;
  stopping = true;
  say(`stopping (${signal})`);
  unwatch();
  await Promise.all([app.stop(), stopEsbuild()]);
  process.exit(0);
}
process.on('SIGTERM', (signal) => void end(signal));
process.on('SIGINT', (signal) => void end(signal));

working = compileAndStart()
  .catch((/** @type {unknown} */ error) => {
    show(error);
    process.exit(1);
  })
  .then(() => bundle(new Set()))
  .catch(show);
