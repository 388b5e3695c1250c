// What ../README.md and the main README say about clients, as a reader would do it: each block of code is a file.
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page, Route } from '@playwright/test';
import { build, type InlineConfig, preview } from 'vite';
import { Account } from './account.ts';
import { artefacts } from './artefacts.ts';
import { password } from './person.ts';
import { expect, test } from './world.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The files of a guide, by name: blocks that begin with `// name` or `<!-- name -->`. */
async function filesOf(guide: string): Promise<Map<string, string>> {
  const text = await readFile(here(guide), 'utf8');
  return new Map(Array.from(text.matchAll(/^```\w+\n(?:\/\/ (\S+)|<!-- (\S+) -->)\n(.*?)^```$/gms), ([, name, page, code = '']) => [name ?? page ?? '', code]));
}

/** Lays files out in a folder of their own, which finds the packages of the workspace, for the server at a URL. */
async function lay(files: Map<string, string>, url: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-guide-'));
  await symlink(here('../node_modules'), join(folder, 'node_modules'));
  for (const [name, code] of files) {
    await writeFile(join(folder, name), code.replaceAll('http://127.0.0.1:8080', new URL(url).origin).replaceAll('ws://127.0.0.1:8080', new URL(url).origin.replace('http', 'ws')));
  }
  return folder;
}

/** Builds what lies in a folder, and serves it. @returns where, and what ends that */
async function serve(folder: string): Promise<{ url: string; close(): Promise<void> }> {
  const common: InlineConfig = { root: folder, configFile: false, logLevel: 'warn', resolve: { conditions: ['parley-source', 'module', 'browser', 'development'] } };
  await build({ ...common, build: { target: 'es2023', chunkSizeWarningLimit: 2_000 } });
  const server = await preview({ ...common, preview: { host: '127.0.0.1', port: 0 } });
  return { url: server.resolvedUrls?.local[0] ?? '', close: () => server.close() };
}

const says = (page: Page, text: string) => expect(page.getByRole('listitem').filter({ hasText: text })).toHaveCount(1);

const field = (page: Page) => page.getByPlaceholder('Message').filter({ visible: true });

async function say(page: Page, text: string): Promise<void> {
  await field(page).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

test('the chat in fifty lines', async ({ browser, server }) => {
  const files = await filesOf('../README.md');
  expect(files.get('chat.jsx')?.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(50);
  expect((await filesOf('../../README.md')).get('parley.js')).toBe(files.get('parley.js')); // what the main README shows is this
  const folder = await lay(files, server.url);
  const site = await serve(folder);
  const context = await browser.newContext();
  const other = await browser.newContext();
  const complaints: string[] = [];
  const withoutCookies = () => {
    const { fetch } = globalThis;
    globalThis.fetch = (input, options) => {
      if (options?.credentials !== 'omit') console.error(`${input} is asked with cookies`);
      return fetch(input, options);
    };
  };
  for (const one of [context, other]) {
    await one.addInitScript(withoutCookies);
    one.on('weberror', (error) => complaints.push(`${error.error()}`));
    one.on('console', (message) => {
      if (/error|warning/.test(message.type()) && !/net::ERR_|WebSocket connection to/.test(message.text())) complaints.push(message.text());
    });
  }
  try {
    const [first, second] = [await context.newPage(), await context.newPage()];
    await first.goto(site.url);
    await first.getByLabel('Username').fill('alice');
    await first.getByLabel('Password').fill(password);
    await first.getByRole('button', { name: 'Sign up' }).click();
    await say(first, 'a note');
    await says(first, 'a note');
    await second.goto(site.url); // is signed in already
    await says(second, 'a note');
    await say(second, 'another note');
    await says(first, 'another note');

    const alice = await Account.signIn(server.url, 'Alice');
    const bob = await Account.signUp(server.url, 'Bob');
    const third = await other.newPage();
    await third.goto(site.url);
    await third.getByLabel('Username').fill('bob');
    await third.getByLabel('Password').fill('not his');
    await third.getByRole('button', { name: 'Sign in' }).click();
    await expect(third.getByText('wrong username or password')).toBeVisible();
    await third.getByLabel('Password').fill(password);
    await third.getByRole('button', { name: 'Sign in' }).click();
    await expect(third.getByRole('navigation')).toBeAttached();
    await field(first).fill('for me alone');
    await bob.befriend(alice);
    await expect(first.getByRole('button', { name: 'Bob' })).toBeVisible(); // before the notes: the newest comes first
    await field(first).press('Enter');
    await expect(first.getByRole('listitem')).toHaveText(['alice a note', 'alice another note', 'alice for me alone']);
    await first.route(server.url, (route) => route.abort(), { times: 1 });
    await say(first, 'nor for Bob');
    await expect(first.getByText('That may not have been sent.')).toBeVisible();
    for (const [page, name] of [[first, 'Bob'], [third, 'alice']] as const) await page.getByRole('button', { name, exact: true }).click();
    await say(third, 'hello');
    await says(first, 'hello');
    await expect(first.getByText('That may not have been sent.')).toBeHidden();
    await expect(field(first)).toHaveValue('');
    await first.getByRole('button', { name: 'Notes' }).click();
    await first.getByRole('button', { name: 'Send' }).click();
    await says(first, 'nor for Bob');
    await first.getByRole('button', { name: 'Bob', exact: true }).click();
    await expect(first.getByRole('listitem')).toHaveText(['Bob hello']);
    await first.setViewportSize({ width: 800, height: 420 });
    await first.screenshot({ path: `${artefacts}/guide.png` });

    await server.kill();
    await say(first, 'while it is away');
    await expect(first.getByText('That may not have been sent.')).toBeVisible();
    await server.restart();
    await first.getByRole('button', { name: 'Send' }).click();
    for (const page of [first, third]) await says(page, 'while it is away');
    const answerLost = async (route: Route) => {
      await route.fetch();
      await route.abort();
    };
    await first.route(server.url, answerLost, { times: 1 });
    await say(first, 'once');
    await expect(first.getByText('That may not have been sent.')).toBeVisible();
    await first.getByRole('button', { name: 'Send' }).click();
    await expect(field(first)).toHaveValue('');
    await say(first, 'the end');
    for (const page of [first, third]) {
      await says(page, 'the end');
      await says(page, 'once');
    }
    expect(complaints).toEqual([]);
  } finally {
    await context.close();
    await other.close();
    await site.close();
    await rm(folder, { recursive: true });
  }
});

test('the hook without Apollo, and the types', async ({ page, server }) => {
  const files = await filesOf('../README.md');
  const entry = `
    import { useState } from 'react';
    import { createRoot } from 'react-dom/client';
    import { session, useMessages } from './messages.js';
    const [groups, tokens] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    session.begin(tokens);
    const All = () => {
      const [chosen, choose] = useState(groups[0]);
      return <>
        {groups.map((id, n) => <button key={id} onClick={() => choose(id)}>Group {n}</button>)}
        <ol>{useMessages(chosen).map(({ id, body, sender }) => <li key={id}>{sender.displayName}: {body}</li>)}</ol>
      </>;
    };
    createRoot(document.getElementById('root')).render(<All />);`;
  const folder = await lay(new Map([...files, ['chat.jsx', entry]]), server.url);
  const site = await serve(folder);
  try {
    const alice = await Account.signUp(server.url, 'Alice');
    const group = await alice.group('Notes', []);
    const plans = await alice.group('Plans', []);
    await alice.send(group, 'before');
    await alice.send(plans, 'a plan');
    const failures: unknown[] = [];
    page.on('pageerror', (failure) => failures.push(failure));
    await server.kill();
    const refused = page.waitForEvent('console', (message) => message.text().includes('ERR_CONNECTION_REFUSED'));
    await page.goto(`${site.url}#${encodeURIComponent(JSON.stringify([[group, plans], alice.tokens]))}`);
    await refused;
    await server.restart();
    await says(page, 'Alice: before');
    expect(failures).toEqual([]);
    await alice.send(group, 'after');
    await says(page, 'Alice: after');
    await server.kill();
    await server.restart();
    await alice.send(group, 'much later');
    await says(page, 'Alice: much later');

    let answer = async () => {};
    const asked = new Promise<void>((ask) => {
      void page.route(server.url, async (route) => {
        const response = await route.fetch();
        answer = () => route.fulfill({ response });
        ask();
      }, { times: 1 });
    });
    await page.getByRole('button', { name: 'Group 1' }).click();
    await asked;
    await expect(page.getByRole('listitem')).toHaveCount(0);
    await page.getByRole('button', { name: 'Group 0' }).click();
    await says(page, 'Alice: much later');
    await answer();
    await alice.send(group, 'after the plans');
    await says(page, 'Alice: after the plans');
    await expect(page.getByRole('listitem')).toHaveText(['before', 'after', 'much later', 'after the plans'].map((body) => `Alice: ${body}`));

    await writeFile(join(folder, 'chat.jsx'), files.get('chat.jsx') ?? '');
    const [status, errors] = await ended(spawn(join(folder, 'node_modules/.bin/graphql-codegen'), { cwd: folder }));
    expect(status, errors).toBe(0);
    expect(await readFile(join(folder, 'gql/graphql.ts'), 'utf8')).toMatch(/export type EventsSubscription = /);
  } finally {
    await site.close();
    await rm(folder, { recursive: true });
  }
});

test('the listener of the main README', async ({ server }) => {
  const alice = await Account.signUp(server.url, 'Alice');
  const group = await alice.group('Notes', []);
  const folder = await lay(await filesOf('../../README.md'), server.url);
  const listener = spawn(process.execPath, ['listen.mjs'], { cwd: folder, env: { PATH: process.env['PATH'], TOKEN: alice.token } });
  const over = ended(listener);
  let out = '';
  listener.stdout.on('data', (chunk) => (out += chunk));
  try {
    await expect.poll(() => out).toContain('CaughtUp');
    await alice.send(group, 'hello');
    await expect.poll(() => out).toContain("body: 'hello'");
    await server.kill();
    await server.restart();
    await alice.send(group, 'hello again');
    await expect.poll(() => out).toContain("body: 'hello again'");
    expect(out.split("body: 'hello'").length).toBe(2);
  } finally {
    listener.kill();
    await over;
    await rm(folder, { recursive: true });
  }
});

/** Waits for the end of a program. @returns its status, and what it complained about */
async function ended(child: ChildProcess): Promise<[status: unknown, errors: string]> {
  let errors = '';
  child.stderr?.on('data', (chunk) => (errors += chunk));
  const [status] = await once(child, 'exit');
  return [status, errors];
}
