import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SignInDocument } from './gql/graphql';
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
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
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
});

test('an answer that does not come is not waited for for ever', async () => {
  vi.useFakeTimers();
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const late = new AbortController();
    setTimeout(() => late.abort(new DOMException('late', 'TimeoutError')), ms); // the browser's own timer is no fake
    return late.signal;
  });
  const { client } = open({
    cookie: false,
    fetch: (_, init) => new Promise((_, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))),
  });
  const given = new AbortController();
  const ends = [{}, { signal: given.signal }].map((fetchOptions) => {
    const end = vi.fn<(cause: Error) => void>();
    client.mutate({ mutation: SignInDocument, variables: { input: { username: 'ann', password: 'secret', cookie: false } }, context: { fetchOptions } }).catch(end);
    return end;
  });
  await vi.advanceTimersByTimeAsync(10_000);
  given.abort();
  await vi.advanceTimersByTimeAsync(9_999);
  expect(ends.map((end) => end.mock.calls.length)).toEqual([0, 1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(ends.map((end) => end.mock.calls[0]?.[0].name)).toEqual(['TimeoutError', 'AbortError']);
});

test('tokens are looked for nowhere else', () => {
  expect(open({ cookie: false }).looking.get()).toBe(false);
});
