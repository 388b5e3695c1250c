// Tabs of a real browser: what no imitation of one shows about stores, locks, cookies and events.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import type { Session, Status, Tokens } from 'parley-client';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { password, Server, Wire } from './world.ts';

/** What a page has. */
interface Tab {
  session: Session;
  endings: string[];
  statuses: Status[];
}
declare const tab: Tab;

const page = `<!doctype html><link rel="icon" href="data:,"><script type="importmap">
  { "imports": { "parley-client": "/parley-client/index.js", "graphql-ws": "/graphql-ws/client.js" } }
</script>`;
const folders: { readonly [name: string]: string } = {
  'parley-client': new URL('.', import.meta.resolve('parley-client')).href,
  'graphql-ws': new URL('.', import.meta.resolve('graphql-ws')).href,
};

/** Opens a browser, and pages of an origin of our own in it. */
async function browse(t: TestContext): Promise<{ context: BrowserContext; open(url: string, cookie: boolean): Promise<Page> }> {
  const pages = createServer(({ url = '' }, response) => {
    const [, name = '', file = ''] = url.split('/');
    const folder = folders[name];
    if (!folder) return response.setHeader('content-type', 'text/html').end(page);
    readFile(new URL(file, folder)).then(
      (script) => response.setHeader('content-type', 'text/javascript').end(script),
      () => response.writeHead(404).end(),
    );
    return undefined;
  }).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  const address = pages.address();
  assert(address !== null && typeof address === 'object');
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const context = await browser.newContext();
  t.after(async () => {
    await browser.close();
    pages.close();
  });
  return {
    context,
    async open(url, cookie) {
      const opened = await context.newPage();
      await opened.goto(`http://127.0.0.1:${address.port}/`);
      await opened.evaluate(async ([url, cookie]) => {
        const { createSession } = await import('parley-client');
        const endings: string[] = [];
        const session = createSession({ url, ...(cookie ? { cookie } : { store: localStorage }), signedOut: (why) => endings.push(why) });
        Object.assign(globalThis, { tab: { session, endings, statuses: [] } });
      }, [url, cookie] as const);
      return opened;
    },
  };
}

describe('tabs of a browser', { timeout: 120_000 }, () => {
  for (const cookie of [false, true]) {
    it(`share a session that is kept in ${cookie ? 'cookies' : 'localStorage'}`, async (t) => {
      const server = await Server.start(t);
      const { open } = await browse(t);
      const tabs = [await open(server.url, cookie), await open(server.url, cookie), await open(server.url, cookie)] as const;
      await tabs[0].evaluate(async ([cookie, password]) => {
        const { signUp } = await tab.session.request<{ signUp: Tokens }>(
          'mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken accessTokenExpiresAt refreshToken session { lastUsedAt } } }',
          { input: { username: 'alice', password, cookie } },
        );
        tab.session.begin(signUp);
      }, [cookie, password] as const);
      for (const other of tabs) await other.waitForFunction(() => tab.session.signedIn);
      for (let round = 0; round < 15; round++) {
        assert.deepEqual(await Promise.all(tabs.map((other) => other.evaluate(() => tab.session.renew()))), [true, true, true], `round ${round}`);
      }
      for (const other of tabs) {
        assert.deepEqual(await other.evaluate(() => tab.session.request('{ me { username } }')), { me: { username: 'alice' } });
        assert.equal(await other.evaluate(() => document.cookie), '');
      }
      if (cookie) assert(!/eyJ|access|efresh/.test(await tabs[0].evaluate(() => JSON.stringify(localStorage))));
      await listen(tabs[1], server.url);
      await tabs[1].waitForFunction(() => tab.statuses.at(-1) === 'live');
      await tabs[0].evaluate(() => tab.session.signOut());
      for (const other of tabs) await other.waitForFunction(() => tab.endings.length === 1);
      await tabs[1].waitForFunction(() => tab.statuses.at(-1) === 'closed');
      assert.deepEqual(await Promise.all(tabs.map((other) => other.evaluate(() => tab.endings))), [['signedOut'], ['elsewhere'], ['elsewhere']]);
    });
  }

  it('have no cookies from another site', async (t) => {
    const server = await Server.start(t);
    const { open } = await browse(t);
    const page = await open(server.url.replace('127.0.0.1', 'localhost'), true);
    const me = await page.evaluate(async (password) => {
      const { session } = tab;
      await session.request('mutation ($input: SignUpInput!) { signUp(input: $input) { cursor } }', { input: { username: 'alice', password, cookie: true } });
      return [await session.request('{ me { username } }'), await session.restore()];
    }, password);
    assert.deepEqual(me, [{ me: null }, false]);
  });

  it('come back as soon as they are online', async (t) => {
    const server = await Server.start(t);
    const wire = await Wire.to(t, server);
    const { context, open } = await browse(t);
    const page = await open(server.url, false);
    await listen(page, wire.url);
    await page.waitForFunction(() => tab.statuses.at(-1) === 'closed'); // nobody is signed in
    await page.evaluate(async (password) => {
      const { signUp } = await tab.session.request<{ signUp: Tokens }>(
        'mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken accessTokenExpiresAt refreshToken } }', { input: { username: 'alice', password } },
      );
      tab.session.begin(signUp);
    }, password);
    await listen(page, wire.url);
    await page.waitForFunction(() => tab.statuses.at(-1) === 'live');
    await context.setOffline(true);
    wire.cut();
    await page.waitForFunction(() => tab.statuses.at(-1) === 'waiting');
    wire.mend();
    const online = Date.now();
    await context.setOffline(false);
    await page.waitForFunction(() => tab.statuses.at(-1) === 'live');
    assert(Date.now() - online < 10_000, 'came back by its own clock');
  });
});

/** Subscribes in a page, which waits for hours when it has lost its connection. */
async function listen(page: Page, url: string): Promise<void> {
  await page.evaluate(async (url) => {
    const { resume, webSocket } = await import('parley-client');
    const { createClient } = await import('graphql-ws');
    resume(
      webSocket(createClient, url, tab.session),
      { query: 'subscription ($after: Cursor) { events(after: $after) { __typename cursor } }' },
      { next() {}, status: (status) => tab.statuses.push(status) },
      { retry: { first: 36_000_000, most: 36_000_000 } },
    );
  }, url.replace('http', 'ws'));
}
