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

test('a server that is killed in mid-conversation loses nothing and doubles nothing', async ({ arrive, server }) => {
  const [alice, bob] = [await arrive('Alice'), await arrive('Bob')];
  await befriend(alice, bob);
  await alice.write('Are you there?');
  await expect(bob.message('Are you there?')).toBeVisible();
  await bob.write('I am.');
  await expect(alice.message('I am.')).toBeVisible();

  const said = ['Are you there?', 'I am.'];
  for (const person of [alice, bob]) person.expectHarm();
  await server.kill();
  for (let n = 1; n <= 5; n++) {
    await alice.write(`Alice ${n} while it is dead`);
    await bob.write(`Bob ${n} while it is dead`);
  }
  await server.restart();
  await expect(alice.message('while it is dead').filter({ hasText: /Bob \d/ })).toHaveCount(5);
  await expect(bob.message('while it is dead').filter({ hasText: /Alice \d/ })).toHaveCount(5);
  await expect(alice.page.locator('.pending')).toHaveCount(0);
  await expect(bob.page.locator('.pending')).toHaveCount(0);
  const seen = await alice.read();
  expect(await bob.read()).toEqual(seen);
  expect(seen.slice(0, 2)).toEqual(said);
  for (const name of ['Alice', 'Bob']) {
    expect(seen.filter((body) => body.startsWith(`${name} `))).toEqual([1, 2, 3, 4, 5].map((n) => `${name} ${n} while it is dead`));
  }
  expect(seen.length).toBe(12);
});
