// Two people through all that the app can do. What one does appears to the other without loading anything anew.
import { expect, test } from './world.ts';
import { Account } from './account.ts';

test('two strangers become friends and talk', async ({ arrive }) => {
  const [alice, bob] = [await arrive('Alice'), await arrive('Bob')];
  await Promise.all([alice.signUp(), bob.signUp()]);
  await expect(bob.page.getByText('No conversations yet')).toBeVisible();

  await test.step('a request is asked, told of and accepted', async () => {
    await alice.ask(bob);
    await expect(bob.badge('People')).toHaveText('1 friend requests');
    await expect(bob.badge('News')).toHaveText('1 unread notifications');
    await bob.accept(alice);
    await expect(bob.badge('People')).toBeHidden();
    await expect(alice.badge('News')).toHaveText('1 unread notifications');
    await alice.go('News');
    await expect(alice.page.getByText('Bob accepted your request')).toBeVisible();
    await alice.page.getByRole('button', { name: 'Mark all read' }).click();
    await expect(alice.badge('News')).toBeHidden();
  });

  await test.step('their conversation appears, with who is there', async () => {
    await alice.go('Chats');
    await expect(alice.chat('Bob')).toContainText('online');
    await alice.open('Bob');
    await expect(alice.page.locator('.conversation-name')).toContainText('online');
  });

  await test.step('what is not read is counted until it is', async () => {
    await alice.write('Hello Bob');
    await expect(alice.message('Hello Bob')).not.toHaveClass(/pending/);
    await alice.write('and @bob: https://example.org/');
    await expect(alice.page.getByRole('link', { name: 'https://example.org/', exact: true })).toBeVisible();
    await bob.go('Chats');
    await expect(bob.chat('Alice').locator('.badge')).toHaveText('2 unread');
    await expect(bob.badge('Chats')).toHaveText('1 unread conversations');
    await expect(bob.page).toHaveTitle(/^\(1\) /);
    await expect(bob.chat('Alice')).toContainText('and @bob: https://example.org/');
    await expect(alice.page.locator('.readers')).toHaveCount(0);
    await bob.open('Alice');
    await expect(bob.chat('Alice').locator('.badge')).toBeHidden();
    await expect(bob.page).toHaveTitle('Alice · Parley');
    await expect(alice.message('https://example.org/').locator('.readers')).toContainText('Read by Bob');
  });

  await test.step('typing is seen, and ends', async () => {
    await bob.field.pressSequentially('Hel');
    await expect(alice.page.locator('.typing-line')).toHaveText('Bob is typing');
    await expect(alice.chat('Bob')).toContainText('typing…');
    await bob.write('Hello Alice');
    await expect(alice.message('Hello Alice')).toBeVisible();
    await expect(alice.page.locator('.typing-line')).toBeEmpty();
    await expect(bob.message('Hello Alice').locator('.readers')).toContainText('Read by Alice');
  });

  await test.step('whoever names somebody tells them, and reading it has read that', async () => {
    await expect(bob.badge('News')).toBeHidden();
    await bob.go('News');
    const told = bob.page.getByRole('region', { name: 'Notifications' }).getByRole('listitem');
    await expect(told).toHaveText([/Alice named you.*@bob(?!.*Not read)/, /Alice asked to become friends(?!.*Not read)/]);
  });

  await test.step('a friend who goes is seen to go', async () => {
    await bob.page.goto('about:blank');
    await expect(alice.page.locator('.conversation-name')).toContainText('last seen', { timeout: 40_000 });
    await bob.page.goBack();
    await expect(alice.page.locator('.conversation-name')).toContainText('online');
  });

  await test.step('who is blocked can write no more', async () => {
    await bob.go('People');
    await bob.page.getByRole('region', { name: 'People' }).getByRole('link', { name: /Alice/ }).click();
    await bob.page.getByRole('button', { name: 'Block' }).click();
    await bob.page.getByRole('dialog').getByRole('button', { name: 'Block' }).click();
    await expect(alice.page.getByText('You are not friends any more')).toBeVisible();
    await bob.page.getByRole('button', { name: 'Unblock' }).click();
    await expect(bob.page.getByRole('button', { name: 'Ask to become friends' })).toBeVisible();
  });
});

test('the address of a group leads to it once one is in it', async ({ arrive, server }) => {
  const [account, other] = [await Account.signUp(server.url, 'Alice'), await Account.signUp(server.url, 'Bob')];
  await account.befriend(other);
  const group = await account.group('Picnic', []);
  await account.send(group, 'sandwiches?');
  const bob = await arrive('Bob');
  await bob.signIn();
  await bob.page.goto(`/conversations/${group}`);
  await expect(bob.page.getByRole('heading', { name: 'No such conversation' })).toBeVisible();
  const asked: string[] = [];
  bob.page.on('request', (request) => asked.push(request.postDataJSON()?.operationName));
  await account.add(group, other);
  await expect(bob.message('sandwiches?')).toBeVisible();
  expect(asked.filter((name) => name === 'History' || name === 'Conversation').sort()).toEqual(['Conversation', 'History']);
});

test('a group is made, ruled and left', async ({ arrive, server }) => {
  const [account, other, third] = [await Account.signUp(server.url, 'Alice'), await Account.signUp(server.url, 'Bob'), await Account.signUp(server.url, 'Carol')];
  await account.befriend(other);
  await account.befriend(third);
  const [alice, bob] = [await arrive('Alice'), await arrive('Bob')];
  await Promise.all([alice.signIn(), bob.signIn()]);

  await test.step('made, and seen to be', async () => {
    await alice.page.getByRole('button', { name: 'New group' }).click();
    await alice.page.getByLabel('What is it about?').fill('Picnic');
    await alice.page.getByRole('checkbox', { name: /Bob/ }).check();
    await alice.page.getByRole('button', { name: 'Make the group' }).click();
    await expect(alice.page.getByRole('heading', { level: 1, name: 'Picnic' })).toBeVisible();
    await expect(bob.chat('Picnic')).toBeVisible();
    await bob.go('News');
    await expect(bob.badge('News')).toHaveText('1 unread notifications');
    await bob.page.getByRole('link', { name: /Alice added you to Picnic/ }).click();
    await expect(bob.page.getByRole('heading', { level: 1, name: 'Picnic' })).toBeVisible();
    await expect(bob.badge('News')).toBeHidden();
  });

  await test.step('somebody is removed while they look, and finds all that was said when they are taken back', async () => {
    await alice.write('sandwiches?');
    await expect(bob.message('sandwiches?')).toBeVisible();
    await alice.page.getByRole('link', { name: 'Details of Picnic' }).click();
    await alice.page.locator('summary', { hasText: 'What to do about Bob' }).click();
    await alice.page.getByRole('button', { name: 'Remove' }).click();
    await expect(bob.page.getByRole('heading', { name: 'You are not in this group any more' })).toBeVisible();
    await alice.write('he is a vegetarian');
    await alice.page.getByRole('button', { name: 'Add people' }).click();
    await alice.page.getByRole('dialog').getByRole('checkbox', { name: /Bob/ }).check();
    await alice.page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click();
    for (const body of ['sandwiches?', 'he is a vegetarian']) await expect(bob.message(body)).toBeVisible();
  });

  await test.step('somebody is added', async () => {
    await alice.page.getByRole('button', { name: 'Add people' }).click();
    await alice.page.getByRole('dialog').getByRole('checkbox', { name: /Carol/ }).check();
    await alice.page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click();
    await expect(alice.members).toHaveText([/You/, /Bob/, /Carol/]);
    await expect(bob.page.locator('.conversation-name')).toContainText('3 members');
  });

  await test.step('roles give what they promise', async () => {
    await bob.page.getByRole('link', { name: 'Details of Picnic' }).click();
    await expect(bob.members).toHaveText([/Alice.*owner/, /You/, /Carol/]);
    await expect(bob.page.getByRole('button', { name: 'Rename' })).toBeHidden();
    await alice.page.locator('summary', { hasText: 'What to do about Bob' }).click();
    await alice.page.getByRole('button', { name: 'Make an admin' }).click();
    await expect(alice.members.filter({ hasText: 'Bob' })).toContainText('admin');
    await bob.page.getByRole('button', { name: 'Rename' }).click();
    await bob.page.getByLabel('Its name').fill('Picnic by the lake');
    await bob.page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
    await expect(alice.page.getByRole('heading', { level: 1, name: 'Picnic by the lake' })).toBeVisible();
    await bob.page.locator('summary', { hasText: 'What to do about Carol' }).click();
    await bob.page.getByRole('button', { name: 'Remove' }).click();
    await expect(alice.members).toHaveText([/You/, /Bob/]);
    await alice.page.locator('summary', { hasText: 'What to do about Bob' }).click();
    await alice.page.getByRole('button', { name: 'Hand the group over' }).click();
    await expect(bob.members).toHaveText([/Alice/, /You.*owner/]);
  });

  await test.step('a picture and a mute', async () => {
    await bob.page.getByLabel('Choose a picture').setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: dot });
    await expect(alice.chat('Picnic').locator('img')).toBeVisible();
    await bob.page.getByRole('radio', { name: 'My name' }).check();
    await bob.page.reload();
    await expect(bob.page.getByRole('radio', { name: 'My name' })).toBeChecked();
  });

  await test.step('who leaves sees nothing more, and hands on what they owned', async () => {
    await bob.write('I must go');
    await expect(alice.message('I must go')).toBeVisible();
    await bob.page.getByRole('button', { name: 'Leave' }).click();
    await bob.page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
    await expect(bob.chat('Picnic')).toBeHidden();
    await expect(alice.members).toHaveText([/You.*owner/]);
    await alice.write('He is gone');
    await expect(alice.message('He is gone')).not.toHaveClass(/pending/);
    await alice.page.getByRole('button', { name: 'Delete for everybody' }).click();
    await alice.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await expect(alice.chat('Picnic')).toBeHidden();
    await expect(bob.page.getByText('He is gone')).toBeHidden();
  });
});

test('a profile, wishes and sessions', async ({ arrive, server }) => {
  const [account, other] = [await Account.signUp(server.url, 'Alice'), await Account.signUp(server.url, 'Bob')];
  await account.befriend(other);
  const [alice, bob, phone] = [await arrive('Alice'), await arrive('Bob'), await arrive('Alice')];
  await Promise.all([alice.signIn(), bob.signIn()]);

  await test.step('who changes their name and picture is seen by it at once', async () => {
    await alice.page.goto('/settings/profile');
    await alice.page.getByLabel('Name', { exact: true }).fill('Alice of the Lake');
    await alice.page.getByLabel('A line about yourself').fill('Swims.');
    await alice.page.getByRole('button', { name: 'Save' }).click();
    await expect(bob.chat('Alice of the Lake')).toBeVisible();
    await alice.page.getByLabel('Choose a picture').setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: dot });
    await expect(bob.chat('Alice of the Lake').locator('img')).toBeVisible();
    await bob.go('People');
    await bob.page.getByRole('link', { name: /Alice of the Lake/ }).click();
    await expect(bob.page.getByText('Swims.')).toBeVisible();
  });

  await test.step('what one wants to be told is kept, and true on other devices', async () => {
    await phone.signIn();
    await phone.page.goto('/settings/notifications');
    const quiet = phone.page.getByRole('switch', { name: 'Keep quiet every day' });
    await expect(quiet).not.toBeChecked();
    await alice.page.goto('/settings/notifications');
    await alice.page.getByRole('switch', { name: 'Keep quiet every day' }).check();
    await expect(quiet).toBeChecked();
  });

  await test.step('a session that is ended elsewhere is over', async () => {
    await alice.page.goto('/settings/sessions');
    const others = alice.page.getByRole('region', { name: 'Other devices' }).getByRole('listitem');
    await expect(others).toHaveCount(2); // the phone, and the account that was made without a browser
    await alice.page.getByRole('button', { name: 'Sign out all others' }).click();
    await alice.page.getByRole('dialog').getByRole('button', { name: 'Sign them out' }).click();
    await expect(phone.page.getByText('Your session is over. Sign in again.')).toBeVisible();
    await expect(alice.page.getByText('You are signed in nowhere else.')).toBeVisible();
  });

  await test.step('who signs out is gone from the page, and back with all of it by signing in', async () => {
    await alice.page.goto('/settings');
    await alice.page.getByRole('button', { name: 'Sign out' }).click();
    await expect(alice.page.getByRole('heading', { name: 'Welcome back' })).toBeVisible();
    await alice.page.reload();
    await expect(alice.page.getByRole('heading', { name: 'Welcome back' })).toBeVisible();
    await alice.signIn();
    await expect(alice.chat('Bob')).toBeVisible();
  });
});

/** A picture of one red dot. */
const dot = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64');
