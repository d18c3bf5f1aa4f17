// Starts the cdk program with what V8 compiled of it the last time, in the folder CDK_CODE. It is one file of 16 MB, of
// which most is compiled as it runs: node's own compile cache has only what is compiled before, a fifteenth (measured).
'use strict';
const { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { basename, dirname, join } = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');

const program = join(__dirname, 'node_modules', 'aws-cdk', 'lib', 'index.js');
const { size, mtimeMs } = statSync(program);
const kept = join(process.env.CDK_CODE, `${size}-${Math.round(mtimeMs)}-${v8.cachedDataVersionTag()}`);

/** @returns {Buffer | undefined} */
function read() {
  try {
    return readFileSync(kept);
  } catch {
    return undefined; // nobody has run this one yet
  }
}

/**
 * Keeps it in the place of all others, which are of another version, or half written.
 * @param {vm.Script} script
 */
function keep(script) {
  const folder = dirname(kept);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${kept}.${process.pid}`, script.createCachedData());
    renameSync(`${kept}.${process.pid}`, kept);
    for (const each of readdirSync(folder)) if (each !== basename(kept)) rmSync(join(folder, each), { force: true });
  } catch {
    // Where that cannot be written, the next start takes as long as this one.
  }
}

const cachedData = read();
const script = new vm.Script(Module.wrap(readFileSync(program, 'utf8')), {
  filename: program,
  cachedData,
  importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
});
if (!cachedData || script.cachedDataRejected) process.once('exit', () => keep(script));
const loaded = new Module(program);
script.runInThisContext()(loaded.exports, Module.createRequire(program), loaded, program, dirname(program));
loaded.exports.cli();
