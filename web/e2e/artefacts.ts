import { fileURLToPath } from 'node:url';

/** Where screenshots are kept, for people to look at. */
export const artefacts = process.env['ARTEFACTS'] ?? fileURLToPath(new URL('artefacts', import.meta.url));
