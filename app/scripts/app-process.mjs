/** The running API of `npm run dev`: one at a time, the old one gone before the new one comes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { DIST } from './paths.mjs';

/** Milliseconds an old process may take to finish what it was asked. */
const PATIENCE = 1500;

export class AppProcess {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;
  #crashed;

  /** @param {(end: {code: number, wasReady: boolean}) => void} crashed called when it ends unasked */
  constructor(crashed) {
    this.#crashed = crashed;
  }

  /** @param {() => void} ready called when it listens */
  start(ready) {
    const { INSPECT, ...env } = process.env;
    const options = INSPECT ? [`--inspect=${INSPECT}`] : [];
    // The fourth channel is for its word that it listens.
    const child = spawn(process.execPath, [...options, `${DIST}/main.js`], {
      env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    let wasReady = false;
    child.once('message', () => {
      wasReady = true;
      ready();
    });
    child.once('exit', (code, signal) => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#crashed({ code: code ?? (signal ? 1 : 0), wasReady });
    });
  }

  /** Ends it gracefully, or by force when its time is up. */
  async stop() {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const force = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
    await ended;
    clearTimeout(force);
  }
}
