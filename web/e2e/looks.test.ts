// What every screen looks like, on a desk and on a phone, in light and in dark; and what axe finds there. One page goes
// through all of them as people do, without loading anything, and is made narrow and wide, dark and light again at each.
import { mkdirSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { default as auditor } from 'axe-core';
import { Account } from './account.ts';
import { artefacts } from './artefacts.ts';
import { password } from './person.ts';
import { expect, test } from './world.ts';

const desk = { width: 1280, height: 800 };
const phone = { width: 412, height: 840 };

/** Gives the one who looks something to look at. */
async function furnish(url: string): Promise<{ alice: Account; bob: Account; dave: Account; direct: string; group: string; other: string }> {
  const signUp = (name: string) => Account.signUp(url, name);
  const [alice, bob, carol, dave, erin, frank] = [await signUp('Alice'), await signUp('Bob'), await signUp('Carol'), await signUp('Dave'), await signUp('Erin'), await signUp('Frank')];
  const direct = await bob.befriend(alice);
  await carol.befriend(alice);
  await Account.signIn(url, 'Alice'); // on another device
  const other = await dave.befriend(alice);
  await erin.request(alice);
  await alice.request(frank);
  const group = await alice.group('Picnic on Sunday', [bob, carol]);
  await bob.group('Reading circle: nineteenth century novels and what came after', [alice]);
  await alice.send(group, 'Who is coming? The weather looks fine: https://example.org/weather/sunday.');
  await bob.send(group, 'Me!');
  await bob.send(group, 'I bring bread, cheese and something to drink. It may be late, because the train leaves only at ten, and the next one two hours after that.');
  await carol.send(group, '@alice shall I bring a blanket?');
  await alice.send(group, 'Please do.');
  await alice.read(group, 5);
  await bob.send(direct, 'Shall we meet at the station?\nOr at your place?');
  await alice.send(direct, 'At the station, at half past nine.');
  await bob.send(direct, 'Good.');
  await dave.send(other, 'See you on Sunday.');
  return { alice, bob, dave, direct, group, other };
}

/** Holds what a page shows to axe, and to its width, and keeps its picture: four times. */
async function look(page: Page, screen: string): Promise<void> {
  for (const [size, colorScheme] of [['desk', 'light'], ['desk', 'dark'], ['phone', 'dark'], ['phone', 'light']] as const) { // each a step from the one before
    await page.setViewportSize(size === 'desk' ? desk : phone);
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${artefacts}/${size}-${colorScheme}-${screen}.png` });
    const rules = { 'landmark-unique': { enabled: screen !== 'duo' } }; // that page has each of them twice
    const found = await page.evaluate(async (options) => {
      const { axe } = globalThis as unknown as { axe: typeof import('axe-core') }; // `load` has brought it
      const { violations } = await axe.run(document, options);
      const wrong = violations.map(({ id, nodes }) => [id, ...nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)]);
      return document.documentElement.scrollWidth > innerWidth ? [...wrong, ['wider than the window']] : wrong;
    }, { rules });
    expect.soft(found, `${screen}, ${size}, ${colorScheme}`).toEqual([]);
  }
  await page.setViewportSize(desk);
}

test('every screen is fit to be seen, and to be heard', async ({ arrive, server, wire }) => {
  test.setTimeout(300_000);
  mkdirSync(artefacts, { recursive: true });
  const { alice, bob, dave, direct, group, other } = await furnish(server.url);
  const viewer = await arrive('Alice', { viewport: desk, reducedMotion: 'reduce' });
  const { page } = viewer;
  const load = async (path: string) => {
    await page.goto(path);
    await page.evaluate(auditor.source);
  };
  const visit = (path: string) => page.evaluate((path) => {
    history.pushState(null, '', path);
    dispatchEvent(new PopStateEvent('popstate'));
  }, path);
  const see = async (screen: string, ready: string | RegExp, path?: string) => {
    if (path !== undefined) await visit(path);
    await expect(page.getByText(ready).filter({ visible: true }).first()).toBeVisible();
    await look(page, screen);
  };
  const ask = async (screen: string, button: string, question: string) => {
    await page.getByRole('button', { name: button, exact: true }).click();
    await expect(page.getByRole('dialog')).toContainText(question);
    await look(page, screen);
    await page.keyboard.press('Escape');
  };

  await load('/sign-up');
  await see('sign-up', 'Name to show');
  await see('forgot', 'Send the link', '/forgot');
  await see('sign-in', 'Welcome back', '/sign-in');
  await page.getByLabel('Username', { exact: true }).fill('alice');
  await page.getByLabel('Password', { exact: true }).fill('not that one');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await see('sign-in-refused', 'wrong username or password');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();

  await see('chats', 'Picnic on Sunday');
  await ask('new-group', 'New group', 'Bob');
  await see('people', 'Take back', '/friends');
  await page.getByLabel('Find people by name').fill('f');
  await expect(page.getByRole('status').filter({ hasText: '1 found' })).toHaveCount(1);
  await see('people-found', 'Frank');
  await see('person', 'End the friendship', `/people/${bob.id}`);
  await ask('block', 'Block', 'Block Bob?');
  await ask('unfriend', 'End the friendship', 'End the friendship with Bob?');
  await see('news', 'added you to', '/notifications');
  await see('direct', 'Good.', `/conversations/${direct}`);
  await see('group', 'Please do', `/conversations/${group}`);
  await see('details', 'Delete for everybody', `/conversations/${group}/details`);
  await page.locator('summary', { hasText: 'What to do about Bob' }).click();
  await see('member-menu', 'Make an admin');
  await page.keyboard.press('Escape');
  await ask('add', 'Add people', 'Dave');
  await ask('rename', 'Rename', 'Its name');
  await ask('leave', 'Leave', 'Leave Picnic on Sunday?');
  await ask('delete', 'Delete for everybody', 'Delete Picnic on Sunday?');
  await see('missing', 'No such conversation', '/conversations/cnv_01h455vb4pex5vsknk084sn02q');
  await see('settings', 'Sign out', '/settings');
  for (const [name, ready] of [
    ['general', 'Light or dark'], ['profile', 'A line about yourself'], ['account', 'Password'], ['notifications', 'Quiet hours'],
    ['sessions', 'This device'], ['export', 'copy'],
  ] as const) await see(`settings-${name}`, ready, `/settings/${name}`);
  await visit('/settings/sessions');
  await ask('settings-sessions-end', 'Sign out all others', 'Sign out all others?');

  await visit(`/conversations/${other}`);
  await expect(viewer.message('See you on Sunday.')).toBeVisible();
  viewer.expectHarm();
  wire.cut();
  await viewer.write('Can you bring the blanket? I have to carry all of the bread.');
  await see('lost', 'One message waits to be sent.');
  await dave.ask('mutation ($userId: ID!) { removeFriend(input: { userId: $userId }) { cursor } }', { userId: alice.id });
  wire.mend();
  await expect(page.getByText('You are not friends any more.')).toBeVisible({ timeout: 40_000 });
  await see('not-sent', 'Not sent:');
  await load('/duo');
  await expect(page.getByText('This is where you and')).toHaveCount(2);
  await see('duo', 'Alice');
});
