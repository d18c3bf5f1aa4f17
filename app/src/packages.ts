/** Has node load packages from the bundle that scripts/packages.mjs made of them, where there is one. */
import { readFileSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

interface Bundle {
  folder: string;
  packages: string[];
}

export function takePackagesFromBundle(): void {
  const files = bundled();
  // Node 22 before 22.15 has no hooks, and takes longer.
  if (files === undefined || !('registerHooks' in module)) return;
  module.registerHooks({
    resolve(specifier, context, next) {
      const url = files.get(specifier);
      // What packages ask for they find where they are.
      if (url === undefined || context.parentURL?.includes('/node_modules/')) return next(specifier, context);
      return { url, format: 'module', shortCircuit: true };
    },
  });
}

/** @returns the modules by the names of their packages */
function bundled(): Map<string, string> | undefined {
  try {
    const { folder, packages } = JSON.parse(readFileSync(new URL('packages.json', import.meta.url), 'utf8')) as Bundle;
    // node_modules may be a link; node's compile cache goes by the real path.
    const place = realpathSync(fileURLToPath(new URL(`../node_modules/.bundled/${folder}`, import.meta.url)));
    return new Map(packages.map((name) => [name, pathToFileURL(`${place}/${name}.mjs`).href]));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
