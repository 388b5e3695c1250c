// Relay: its compiler takes the schema as the server hands it out; its hooks page, refetch, change and listen.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { JSDOM } from 'jsdom';
import { CREATE_GROUP, post, SEND, SIGN_UP, soon, Wire } from './scenario.mjs';

const direct = new URL(process.env.PARLEY_URL);
const folder = new URL(`../relay/generated/${process.pid}`, import.meta.url).pathname;
const artefact = (name) => createRequire(import.meta.url)(join(folder, 'artefacts', `${name}.graphql.js`));

before(async () => {
  await mkdir(join(folder, 'artefacts'), { recursive: true });
  const sdl = await fetch(new URL('/schema.graphql', direct));
  await writeFile(join(folder, 'schema.graphql'), await sdl.text());
  await writeFile(join(folder, 'package.json'), '{"type": "commonjs"}'); // the artefacts
  const config = { src: '../../src', schema: './schema.graphql', artifactDirectory: './artefacts', language: 'javascript', eagerEsModules: false };
  await writeFile(join(folder, 'relay.config.json'), JSON.stringify(config));
  const compiler = new URL('../../node_modules/.bin/relay-compiler', import.meta.url).pathname;
  await promisify(execFile)(compiler, ['relay.config.json'], { cwd: folder }).catch(({ stdout, stderr }) => assert.fail(stdout + stderr));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Somebody with three groups, and a page to show them on, which React has to find when it is loaded. */
async function stage(t) {
  const { window } = new JSDOM('<div id="root"></div>');
  Object.assign(globalThis, { window, document: window.document, navigator: window.navigator, IS_REACT_ACT_ENVIRONMENT: true });
  const { act, createElement, Suspense } = await import('react');
  const { createRoot } = await import('react-dom/client');
  const { RelayEnvironmentProvider } = (await import('react-relay')).default;
  const { components } = await import('../relay/chat.mjs');
  const { connect } = await import('../relay/environment.mjs');

  const wire = await Wire.to(direct);
  const username = `npm-${randomUUID().slice(0, 12)}`;
  const ask = async (token, query, input) => {
    const { data, errors } = await post(direct, token, query, { input });
    assert.equal(errors, undefined);
    return Object.values(data)[0];
  };
  const { accessToken: token } = await ask('', SIGN_UP, { username, password: randomUUID() });
  const rooms = [];
  for (const title of ['first', 'second', 'third']) rooms.push((await ask(token, CREATE_GROUP, { title })).conversation.id);
  const server = { http: `http://127.0.0.1:${wire.port}/graphql`, ws: `ws://127.0.0.1:${wire.port}/graphql`, token, retryWait: soon };
  const { environment, sent, close } = connect(server);
  const root = createRoot(document.getElementById('root'));
  t.after(async () => {
    await act(() => root.unmount());
    await close();
    wire.close();
  });

  const items = () => [...document.querySelectorAll('li')].map((li) => li.textContent.replace(`${username}: `, ''));
  const text = (selector) => document.querySelector(selector)?.textContent;
  const all = components(artefact);
  return {
    environment, sent, rooms, wire, text, items,
    say: (body) => ask(token, SEND, { conversationId: rooms[0], body, clientKey: randomUUID() }),
    change: (query, input) => ask(token, query, input),
    show: (name, props) =>
      act(() => root.render(createElement(RelayEnvironmentProvider, { environment }, createElement(Suspense, { fallback: 'loading' }, createElement(all[name], props))))),
    click: (id) => act(() => document.getElementById(id).click()),
    /** Waits until the page shows what it should. */
    async until(read, want) {
      for (const end = Date.now() + 15_000; Date.now() < end; await act(soon)) {
        if (JSON.stringify(read()) === JSON.stringify(want)) return;
      }
      assert.deepEqual(read(), want);
    },
  };
}

test('relay in a conversation', { timeout: 60_000 }, async (t) => {
  const s = await stage(t);
  const [id] = s.rooms;
  for (const body of ['1', '2', '3', '4', '5']) await s.say(body);

  await s.show('Chat', { id });
  await s.until(s.items, ['4', '5']);
  await s.click('older');
  await s.until(s.items, ['2', '3', '4', '5']);
  assert.match(s.sent.at(-1), /^query ChatMessagesQuery\b.*\bnode\(id: \$id\)/s);
  await s.click('older');
  await s.until(s.items, ['1', '2', '3', '4', '5']);
  assert.ok(document.getElementById('older').disabled, 'there is nothing older');

  // What another device changes is there after a refetch; what this one changes, at once and without one.
  assert.equal(s.text('h1'), 'first (1)');
  await s.change('mutation ($input: UpdateGroupInput!) { updateGroup(input: $input) { cursor } }', { conversationId: id, title: 'changed' });
  await s.click('refetch');
  await s.until(() => s.text('h1'), 'changed (1)');
  assert.match(s.sent.at(-1), /^query ChatHeaderQuery\b/);
  await s.click('rename');
  await s.until(() => s.text('h1'), 'renamed (1)');
  assert.match(s.sent.at(-1), /^mutation ChatRenameMutation\b/);

  await s.click('send');
  await s.until(s.items, ['1', '2', '3', '4', '5', 'by mutation']); // by the mutation or the subscription, once
  await s.say('live');
  await s.until(() => s.items().slice(6), ['live']);
  s.wire.cut();
  for (const body of ['missed 1', 'missed 2']) await s.say(body);
  s.wire.mend();
  await s.until(() => s.items().slice(7), ['missed 1', 'missed 2']);

  // The store has one connection with all of it, and each message once.
  const seqs = Object.values(s.environment.getStore().getSource().toJSON()).filter((r) => r.__typename === 'Message').map((r) => r.seq);
  assert.deepEqual(seqs.sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('relay in a list of the viewer', { timeout: 60_000 }, async (t) => {
  const s = await stage(t);
  await s.show('Rooms', {});
  await s.until(s.items, ['third']);
  await s.click('more');
  await s.until(s.items, ['third', 'second']);
  await s.click('more');
  await s.until(s.items, ['third', 'second', 'first']);
  assert.ok(document.getElementById('more').disabled);
});

test('relay refetches nothing that is not to be seen', { timeout: 60_000 }, async (t) => {
  const s = await stage(t);
  const { fetchQuery } = (await import('relay-runtime')).default;
  const header = (id) => fetchQuery(s.environment, artefact('ChatHeaderQuery'), { id }).toPromise();
  assert.notEqual((await header(s.rooms[0])).node, null);
  assert.equal((await header('cnv_01h455vb4pex5vsknk084sn02q')).node, null);
});
