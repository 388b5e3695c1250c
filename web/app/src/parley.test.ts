import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { memory } from './outbox';
import { createParley, type Parley } from './parley';

const page = { __typename: 'PageInfo', hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null };
const start = (id: string) => ({
  cursor: 'c0', unreadNotificationCount: 0,
  me: { __typename: 'User', id, username: id, displayName: id, bot: false, avatarUrl: null, relationship: 'SELF', presence: null, bio: '', createdAt: '2026-11-21T08:00:00Z' },
  conversations: { __typename: 'ConversationConnection', nodes: [], pageInfo: page },
  friendRequests: { __typename: 'FriendRequestConnection', nodes: [], pageInfo: page },
});
const session = (id: string) => JSON.stringify({ id, access: `token of ${id}`, refresh: 'r', until: Date.now() + 600_000, span: 600_000, turn: 0 });
const transport = () => ({ subscribe: () => () => {} }); // nothing happens
const opened: Parley[] = [];
const open = (...[options]: Parameters<typeof createParley>) => {
  const parley = createParley({ transport, ...options });
  opened.push(parley);
  return parley;
};

beforeEach(() => {
  vi.stubGlobal('location', new URL('http://127.0.0.1/'));
  vi.stubGlobal('WebSocket', class { static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3; }); // nobody opens one
});
afterEach(() => {
  for (const parley of opened.splice(0)) parley.close();
  vi.unstubAllGlobals();
});

test('whoever another tab has signed in meanwhile finds their own here', async () => {
  const store = memory(new Map([['parley.session', session('ann')]]));
  const ask = vi.fn<typeof fetch>(async (_, init) => {
    const who = new Headers(init?.headers).get('authorization')?.split(' ').at(-1) ?? '';
    await new Promise((answered) => setTimeout(answered, 5));
    init?.signal?.throwIfAborted();
    return Response.json({ data: start(who) });
  });
  const parley = open({ cookie: false, store, fetch: ask });
  parley.live.start();
  await vi.waitFor(() => expect(parley.live.me.get()).toBe('ann'));
  const before = parley.signedIn.get();
  parley.signedIn.subscribe(() => {
    parley.live.stop();
    if (parley.signedIn.get() !== null) parley.live.start(); // as the page does that shows somebody else
  });
  store.setItem('parley.session', session('bob'));
  await parley.session.authorization(); // as at the first sign of life
  expect([before, parley.signedIn.get()]).toEqual(['ann', 'bob']);
  await vi.waitFor(() => expect(parley.live.me.get()).toBe('bob'));
  expect(parley.live.failure.get()).toBeNull();
});

test.each([
  ['is found by its cookies', { data: { refreshSession: { accessTokenExpiresAt: new Date(Date.now() + 600_000), session: { id: 'ses_1', lastUsedAt: new Date() } } } }, true],
  ['is looked for before anybody is asked to sign in', { errors: [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }] }, false],
])('a session that the page has forgotten %s', async (_, answer, found) => {
  let reply = (_: Response): void => {};
  const parley = open({ cookie: true, fetch: () => new Promise((resolve) => (reply = resolve)) });
  await new Promise((asked) => setTimeout(asked));
  expect([parley.looking.get(), parley.signedIn.get()]).toEqual([true, null]);
  reply(Response.json(answer));
  await vi.waitFor(() => expect(parley.looking.get()).toBe(false));
  expect(parley.signedIn.get() !== null).toBe(found);
});

test('nobody waits for a server that does not answer', async () => {
  vi.useFakeTimers();
  const parley = open({ cookie: true, fetch: () => new Promise(() => {}) });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(parley.looking.get()).toBe(false);
  vi.useRealTimers();
});

test('tokens are looked for nowhere else', () => {
  expect(open({ cookie: false }).looking.get()).toBe(false);
});
