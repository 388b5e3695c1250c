// The explorers that a server shows, in a browser, as people use them: a query, headers, a subscription that hears something.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { CREATE_GROUP, post, SEND, SIGN_UP } from '../suites/scenario.mjs';

const direct = new URL(process.env.PARLEY_URL ?? assert.fail('set PARLEY_URL, such as http://127.0.0.1:8080/graphql'));
const pictures = process.env.ARTEFACTS ?? new URL('../artefacts', import.meta.url).pathname;
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
let browser;

before(async () => {
  assert.ok(existsSync(executablePath), `no ${executablePath}: apt-get install chromium, or say where it is in CHROMIUM`);
  await mkdir(pictures, { recursive: true });
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  browser = await chromium.launch({ executablePath, args });
});
after(() => browser?.close());

const ME = 'query Me { me { username } }';
const FEED = 'subscription Feed { events(types: [MESSAGE_ADDED]) { __typename ... on MessageAdded { message { body } } } }';

/** Somebody with a group, and a page that must not complain and must not ask elsewhere. */
async function visit(t, path) {
  const username = `npm-${randomUUID().slice(0, 12)}`;
  const ask = async (token, query, input) => Object.values((await post(direct, token, query, { input })).data)[0];
  const { accessToken: token } = await ask('', SIGN_UP, { username, password: randomUUID() });
  const { conversation } = await ask(token, CREATE_GROUP, { title: 'a group' });

  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const complaints = [];
  const sockets = [];
  page.on('console', (m) => m.type() === 'error' && complaints.push(m.text()));
  page.on('pageerror', (err) => complaints.push(err.message));
  page.on('request', (r) => r.url().startsWith('http') && new URL(r.url()).host !== direct.host && complaints.push(r.url()));
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sockets.push(payload)));
  t.after(async () => {
    await page.screenshot({ path: `${pictures}/${path}-end.png` });
    await page.close();
  });
  await page.goto(new URL(`/${path}`, direct).href);
  return {
    page, username, complaints, sockets,
    headers: JSON.stringify({ authorization: `Bearer ${token}` }),
    say: (body) => ask(token, SEND, { conversationId: conversation.id, body, clientKey: randomUUID() }),
    picture: (name) => page.screenshot({ path: `${pictures}/${path}-${name}.png` }),
    async write(editor, text) {
      await page.locator(editor).first().click();
      await page.keyboard.press('Control+A');
      await page.keyboard.press('Delete');
      await page.keyboard.insertText(text);
      await page.keyboard.press('Escape'); // suggestions
    },
    shows: (selector, text) =>
      page.waitForFunction(
        ([s, want]) => [...document.querySelectorAll(s)].some((e) => e.textContent.replaceAll('\u00a0', ' ').includes(want)),
        [selector, text],
        { timeout: 15_000 },
      ),
  };
}

test('GraphiQL', { timeout: 60_000 }, async (t) => {
  const { page, username, complaints, sockets, headers, say, picture, write, shows } = await visit(t, 'graphiql');
  const [editor, results] = ['.graphiql-query-editor .monaco-editor', '.graphiql-response'];
  await page.locator(editor).first().waitFor();
  await write(editor, ME);
  await shows('.graphiql-tab', 'Me'); // it knows what it is
  await page.keyboard.press('Control+Enter');
  await shows(results, '"me": null');

  await write('.graphiql-editor-tool .monaco-editor >> visible=true', headers);
  await page.locator('.graphiql-execute-button').click();
  await shows(results, username);
  await picture('query');

  await write(editor, FEED);
  await shows('.graphiql-tab', 'Feed');
  await page.locator('.graphiql-execute-button').click();
  await shows(results, 'CaughtUp');
  await say('heard in GraphiQL');
  await shows(results, 'heard in GraphiQL');
  await picture('subscription');
  assert.match(sockets.join('\n'), /"type":"subscribe"/);
  await page.locator('.graphiql-execute-button').click();
  assert.deepEqual(complaints, []);
});

test('GraphQL Playground', { timeout: 60_000 }, async (t) => {
  const { page, username, complaints, sockets, headers, say, picture, write, shows } = await visit(t, 'playground');
  const [editor, results] = ['.CodeMirror >> nth=0', 'body'];
  await page.locator(editor).first().waitFor();
  await write(editor, ME);
  await page.keyboard.press('Control+Enter');
  await shows(results, '"me": null');

  await page.getByText('HTTP HEADERS').click();
  await write('.CodeMirror >> nth=1', headers);
  await write(editor, ME);
  await page.keyboard.press('Control+Enter');
  await shows(results, username);
  await picture('query');

  await write(editor, FEED);
  await page.keyboard.press('Control+Enter');
  await shows('body', 'Listening');
  await shows(results, 'CaughtUp');
  await say('heard in Playground');
  await shows(results, 'heard in Playground');
  await picture('subscription');
  assert.match(sockets.join('\n'), /"type":"start"/); // the older protocol's subscribe
  assert.deepEqual(complaints, []);
});
