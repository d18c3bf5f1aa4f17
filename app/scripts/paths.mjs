import { fileURLToPath } from 'node:url';

export const APP = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

export const SRC = `${APP}/src`;
export const DIST = `${APP}/dist`;
/** Which bundle of packages the API takes. */
export const PACKAGES = `${DIST}/packages.json`;
export const PROCESSOR_SRC = `${SRC}/processor`;
export const PROCESSOR_DIST = `${DIST}/processor`;
