/** `npm run build`: dist/ is made to match src/. Types are checked elsewhere (npm run typecheck). */
import { CompileError, compileApi } from './api.mjs';
import { bundlePackages } from './packages.mjs';
import { bundleProcessor } from './processor.mjs';

const started = performance.now();
const results = await Promise.allSettled([compileApi().then(bundlePackages), bundleProcessor()]);
for (const result of results) {
  if (result.status === 'fulfilled') continue;
  process.exitCode = 1;
  console.error(result.reason instanceof CompileError ? result.reason.message : result.reason);
}
if (!process.exitCode) console.log(`built in ${Math.round(performance.now() - started)} ms`);
