import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Nest's decorators are TypeScript's old ones, and it reads the types they leave behind.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/setup.ts',
    pool: 'threads',
    // Files share loaded modules: nothing here changes a module or the process's variables.
    isolate: false,
    // Much of the time is waiting for processes: one worker a core less one, the default, is too few.
    maxWorkers: 3,
    // Against what hangs; how fast things are is measured in bench/, where nothing else keeps the machine busy.
    testTimeout: 45_000,
    coverage: { provider: 'v8', include: ['src/**/*.ts'], exclude: ['src/main.ts', 'src/**/*.d.ts'] },
  },
});
