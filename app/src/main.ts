/** Starts the API, or says on stderr in plain words why it cannot. */
import { enableCompileCache } from 'node:module';
import { takePackagesFromBundle } from './packages.js';

// Before anything large is loaded: later starts then skip compiling it.
enableCompileCache();
process.setSourceMapsEnabled(true);
takePackagesFromBundle();

const { start } = await import('./start.js');
await start(process.env);
