/** A program in a process group of its own, with what it says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from './eventually.js';

export class Running {
  stdout = '';
  stderr = '';
  private readonly ended: Promise<[number | null, NodeJS.Signals | null]>;

  private constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (part: Buffer) => (this.stdout += part.toString()));
    child.stderr?.on('data', (part: Buffer) => (this.stderr += part.toString()));
    this.ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  }

  /** @param env all its variables, but for the path */
  static node(script: string, env: Record<string, string>, cwd = process.cwd()): Running {
    return new Running(
      spawn(process.execPath, [script], {
        cwd,
        env: { PATH: process.env['PATH'] ?? '', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      }),
    );
  }

  /** @returns its exit code, once it and its output have ended */
  async exit(): Promise<number | null> {
    return (await this.ended)[0];
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  said(words: string | RegExp): Promise<boolean> {
    const pattern = typeof words === 'string' ? { test: (all: string) => all.includes(words) } : words;
    return eventually(() => pattern.test(this.stdout + this.stderr)).catch(() => {
      throw new Error(`never said ${String(words)}, but:\n${this.stdout}${this.stderr}`);
    });
  }

  /** Leaves nothing behind, whatever became of the test. */
  kill(): void {
    try {
      if (this.child.pid) process.kill(-this.child.pid, 'SIGKILL');
    } catch {
      // All of the group are gone already.
    }
  }
}
