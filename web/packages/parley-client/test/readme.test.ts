// The README's snippets run as they stand there, and see what is written while the server is killed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { password, Person, Server, until } from './world.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Runs a snippet, and returns what it prints. */
function run(t: TestContext, name: string, server: Server): { out: string } {
  const child = spawn(process.execPath, ['--import', new URL('./browser.js', import.meta.url).href, here(`./readme/${name}.js`)], {
    env: { ...process.env, PARLEY_URL: server.url }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill());
  const printed = { out: '' };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed.out += chunk));
  return printed;
}

describe('the README', { timeout: 120_000 }, () => {
  it('has snippets that work', async (t) => {
    const server = await Server.start(t);
    const alice = await Person.signUp(t, server, {}, 'alice');
    const conversation = await alice.group();
    const all = ['socket', 'apollo', 'stream', 'graphql-sse'].map((name) => [name, run(t, name, server)] as const);
    const plain = run(t, 'plain', server);
    for (const [name, printed] of [...all, ['plain', plain] as const]) await until(`${name} to be live: ${printed.out}`, () => /live|caught up/.test(printed.out));
    await alice.send(conversation, 'before');
    for (const [name, printed] of all) await until(`${name} to see it: ${printed.out}`, () => printed.out.includes('before'));
    await server.kill();
    await server.restart();
    await alice.send(conversation, 'after');
    for (const [name, printed] of all) {
      await until(`${name} to see it: ${printed.out}`, () => printed.out.includes('after'));
      for (const body of ['before', 'after']) assert.equal(printed.out.split(body).length, 2, `${name} printed ${printed.out}`);
      assert(!printed.out.includes('Error'), `${name} printed ${printed.out}`);
    }
    await until(`plain to come back: ${plain.out}`, () => plain.out.split('caught up').length === 3);
    assert.equal(password, 'correct horse battery'); // what the snippets sign in with
  });

  it('has a test for every line of its table', () => {
    const named = readdirSync(here('../test')).filter((file) => file.endsWith('.test.ts')).map((file) => readFileSync(here(`../test/${file}`), 'utf8')).join();
    const table = readFileSync(here('../README.md'), 'utf8').match(/^\| .* \| .*\*.*\|$/gm) ?? [];
    assert(table.length >= 15);
    for (const line of table) {
      const names = Array.from(line.matchAll(/\*([^*]+)\*/g), ([, name = '']) => name.replace(/ …$/, ''));
      assert(names.length > 0, line);
      for (const name of names) assert(named.includes(name), `no test is called ${name}`);
    }
  });
});
