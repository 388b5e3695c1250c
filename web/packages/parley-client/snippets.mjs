// Takes the README's TypeScript out into test/readme/, where it is type-checked and run like every reader's own: against
// the server at PARLEY_URL instead of the usual address.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const folder = new URL('test/readme/', import.meta.url);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const [, name, text] of readFileSync(new URL('README.md', import.meta.url), 'utf8').matchAll(/^```ts\n\/\/ (\S+)\n(.*?)^```$/gms)) {
  const address = text
    .replaceAll("'http://127.0.0.1:8080/graphql'", "process.env['PARLEY_URL']!")
    .replaceAll("'ws://127.0.0.1:8080/graphql'", "process.env['PARLEY_URL']!.replace('http', 'ws')");
  writeFileSync(new URL(name, folder), address);
}
