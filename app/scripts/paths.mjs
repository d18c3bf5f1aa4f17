import { fileURLToPath } from 'node:url';

export const APP = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

export const SRC = `${APP}/src`;
export const DIST = `${APP}/dist`;
export const PROCESSOR_SRC = `${SRC}/processor`;
export const PROCESSOR_DIST = `${DIST}/processor`;
