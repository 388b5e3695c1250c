// The server dies and the network goes while two people write.
import type { Person } from './person.ts';
import { expect, test } from './world.ts';

/** Makes two people friends, who both look at their conversation. */
async function befriend(one: Person, other: Person): Promise<void> {
  await Promise.all([one.signUp(), other.signUp()]);
  await one.ask(other);
  await other.accept(one);
  await Promise.all([one.open(other.name), other.open(one.name)]);
}

/** Both write so much at a time, one after the other. */
const many = 4;

/** Has both write without a pause. */
async function both(people: readonly Person[], when: string): Promise<void> {
  for (let n = 1; n <= many; n++) for (const person of people) await person.write(`${person.name} ${n} ${when}`);
}

/** Waits until nothing is on its way, and holds both screens to what was written: all of it, once, in the order of each writer. */
async function judge(people: readonly Person[], times: readonly string[]): Promise<void> {
  const said = (name: string) => times.flatMap((when) => Array.from({ length: many }, (_, n) => `${name} ${n + 1} ${when}`));
  for (const person of people) {
    await expect(person.page.locator('.pending')).toHaveCount(0, { timeout: 40_000 });
    for (const { name } of people) await expect(person.message(said(name).at(-1) ?? '')).toBeVisible({ timeout: 40_000 });
  }
  const [seen = [], also] = await Promise.all(people.map((person) => person.read()));
  expect(also).toEqual(seen);
  for (const { name } of people) expect(seen.filter((body) => body.startsWith(name))).toEqual(said(name));
  expect(seen.length).toBe(people.length * times.length * many);
}

test('a server that is killed in mid-conversation loses nothing and doubles nothing', async ({ arrive, server }) => {
  const people = [await arrive('Alice'), await arrive('Bob')] as const;
  await befriend(...people);
  await both(people, 'before');
  for (const person of people) person.expectHarm();
  await Promise.all([both(people, 'as it dies'), server.kill()]);
  await both(people, 'while it is dead');
  await expect(people[0].page.getByText('The connection is lost.').filter({ visible: true })).toBeVisible();
  await Promise.all([both(people, 'as it returns'), server.restart()]);
  await both(people, 'afterwards');
  await judge(people, ['before', 'as it dies', 'while it is dead', 'as it returns', 'afterwards']);
});

test('a network that is cut in mid-conversation loses nothing and doubles nothing', async ({ arrive, wire }) => {
  const people = [await arrive('Alice'), await arrive('Bob')] as const;
  const [alice] = people;
  await befriend(...people);
  for (const person of people) person.expectHarm();
  await Promise.all([both(people, 'as it is cut'), wire.cut()]);
  await both(people, 'while it is cut');
  wire.mend();
  await both(people, 'when it is mended');
  await alice.context.setOffline(true);
  wire.cut();
  await expect(alice.page.getByText('You are offline.').filter({ visible: true })).toBeVisible();
  await both(people, 'while she is offline');
  wire.mend();
  await alice.context.setOffline(false);
  await both(people, 'when she is online');
  await judge(people, ['as it is cut', 'while it is cut', 'when it is mended', 'while she is offline', 'when she is online']);
});

test('a network that swallows everything without a word loses nothing and doubles nothing', async ({ arrive, wire }) => {
  const people = [await arrive('Alice'), await arrive('Bob')] as const;
  await befriend(...people);
  for (const person of people) person.expectHarm();
  await both(people, 'before');
  wire.starve();
  await both(people, 'into the void');
  await judge(people, ['before', 'into the void']);
});

test('what was written without a server is sent by the page that is opened next', async ({ arrive, server }) => {
  const people = [await arrive('Alice'), await arrive('Bob')] as const;
  const [alice] = people;
  await befriend(...people);
  for (const person of people) person.expectHarm();
  await server.kill();
  await both(people, 'and went away');
  const address = alice.page.url();
  await alice.page.close();
  await server.restart();
  await alice.reopen(address);
  await judge(people, ['and went away']);
});

test('what could not be fetched comes without a click once it can be', async ({ arrive }) => {
  const people = [await arrive('Alice'), await arrive('Bob')] as const;
  const [{ page }, bob] = people;
  await befriend(...people);
  await bob.write('are you there?');
  const down = new Set(['Start', 'Conversation', 'History']);
  const errors = [{ message: 'try again later', extensions: { code: 'UNAVAILABLE' } }];
  await page.route('/graphql', (route) => (down.has(route.request().postDataJSON().operationName) ? route.fulfill({ json: { data: null, errors } }) : route.continue()));
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Nothing to show yet' })).toBeVisible();
  down.delete('Start');
  await expect(page.getByRole('heading', { name: 'It cannot be shown' })).toBeVisible();
  down.clear();
  await expect(people[0].message('are you there?')).toBeVisible();
});
