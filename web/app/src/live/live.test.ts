import { ApolloClient, ApolloLink, CombinedGraphQLErrors, Observable } from '@apollo/client';
import type { Status } from 'parley-client';
import { afterEach, expect, test, vi } from 'vitest';
import { createCache } from '../cache';
import { ConversationDocument, MarkNotificationReadDocument, StartDocument } from '../gql/graphql';
import type { Outbox } from '../outbox';
import { Live } from './live';

const page = { __typename: 'PageInfo', hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null };
const bob = { __typename: 'User', id: 'bob', username: 'bob', displayName: 'Bob', bot: false, avatarUrl: null };
const message = (seq: number) => ({ __typename: 'Message', id: `msg_${seq}`, seq, body: `message ${seq}`, createdAt: '2026-11-21T09:00:00Z', sender: bob });
const room = (seq: number) => ({
  __typename: 'Conversation', id: 'r1', kind: 'GROUP', title: 'Room', avatarUrl: null, createdAt: '2026-11-21T08:00:00Z', updatedAt: '2026-11-21T09:00:00Z',
  memberCount: 2, role: 'MEMBER', writable: true, unreadCount: 0, notificationLevel: 'ALL', mutedUntil: null, peer: null, lastMessage: seq > 0 ? message(seq) : null,
});
const start = (cursor: string, seq: number) => ({
  cursor, unreadNotificationCount: 0,
  me: { ...bob, id: 'ann', relationship: 'SELF', presence: null, bio: '', createdAt: '2026-11-21T08:00:00Z' },
  conversations: { __typename: 'ConversationConnection', nodes: [room(seq)], pageInfo: page },
  friendRequests: { __typename: 'FriendRequestConnection', nodes: [], pageInfo: page },
});
const conversation = (seq: number) => ({ conversation: { ...room(seq), receipts: { __typename: 'ReceiptConnection', nodes: [] } } });
const history = (seq: number) => ({
  conversation: {
    __typename: 'Conversation', id: 'r1',
    messages: { __typename: 'MessageConnection', nodes: Array.from({ length: seq }, (_, index) => message(index + 1)), pageInfo: page },
  },
});
const added = (seq: number) => ({ __typename: 'MessageAdded', cursor: `c${seq}`, at: '2026-11-21T09:00:00Z', conversationId: 'r1', message: message(seq) });

/** A server whose answers come when the test says. */
function stage() {
  const asked: { name: string; variables: object; context: ApolloLink.OperationContext; answer(data: Record<string, unknown>, last?: boolean): void; fail(cause: unknown): void; end(): void }[] = [];
  const live = new Live();
  const server = new ApolloLink(
    (operation) =>
      new Observable((observer) => {
        asked.push({
          name: operation.operationName ?? '', variables: operation.variables, context: operation.getContext(),
          answer(data, last = true) {
            observer.next({ data });
            if (last) observer.complete();
          },
          fail: (cause) => observer.error(cause),
          end: () => observer.complete(),
        });
      }),
  );
  const client = new ApolloClient({ cache: createCache(), link: live.link.concat(server) });
  const wake = vi.fn();
  live.attach(client, { open() {}, saw() {}, wake } as unknown as Outbox, async () => false); // sends nothing here
  const find = (name: string) => vi.waitFor(() => {
    const found = asked.filter((other) => other.name === name).at(-1);
    if (!found) throw new Error(`${name} was not asked`);
    return found;
  });
  const seqs = () => live.history.of('r1').get()?.nodes.map(({ seq }) => seq);
  const list = () => client.readQuery({ query: StartDocument })?.conversations.nodes.map(({ id }) => id);
  /** Begins, and listens. */
  const begin = async (seq: number) => {
    live.start();
    (await find('Start')).answer(start('c0', seq));
    const events = await find('Events');
    asked.length = 0;
    return events;
  };
  return { live, client, asked, wake, find, seqs, list, begin };
}

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('an answer as of before an event that is applied already does not take it back', async () => {
  const { live, client, find, seqs } = stage();
  live.start();
  (await find('Start')).answer(start('c0', 0));
  const events = await find('Events');
  expect(events.variables).toEqual({ after: 'c0' });
  const query = client.query({ query: ConversationDocument, variables: { id: 'r1' } });
  const late = await find('Conversation');
  const loaded = live.history.load('r1', 'newest');
  const lateMessages = await find('History');
  events.answer({ events: added(1) }, false);
  await vi.waitFor(() => expect(client.readQuery({ query: StartDocument })?.conversations.nodes[0]?.lastMessage?.seq).toBe(1));
  late.answer(conversation(0)); // read before the message was stored
  lateMessages.answer(history(0));
  await Promise.all([query, loaded]);
  await vi.waitFor(() => expect(seqs()).toEqual([1]));
  expect(client.readQuery({ query: StartDocument })?.conversations.nodes[0]?.lastMessage?.seq).toBe(1);
});

test('a cursor that is too old: everything is asked for anew, and goes on from there', async () => {
  const { live, client, asked, find, seqs } = stage();
  live.start();
  (await find('Start')).answer(start('c0', 1));
  const events = await find('Events');
  const loaded = live.history.load('r1', 'newest');
  (await find('History')).answer(history(1));
  await loaded;
  expect(seqs()).toEqual([1]);
  asked.length = 0;
  const { resume } = events.context;
  const cursor = resume?.expired?.(undefined as never, undefined as never); // neither is looked at
  (await find('Start')).answer(start('c9', 9));
  await expect(cursor).resolves.toBe('c9');
  expect(seqs(), 'whoever looks at it fetches it').toBeUndefined();
  expect(client.readQuery({ query: StartDocument })?.conversations.nodes[0]?.lastMessage?.seq).toBe(9);
});

test('a cursor that is too old: what was opened further down than the list reaches is asked for anew', async () => {
  const { client, find, begin } = stage();
  const events = await begin(1);
  const query = client.query({ query: ConversationDocument, variables: { id: 'r7' } });
  (await find('Conversation')).answer({ conversation: { ...conversation(1).conversation, id: 'r7' } });
  await query;
  const cursor = events.context.resume?.expired?.(undefined as never, undefined as never); // neither is looked at
  (await find('Start')).answer(start('c9', 9));
  await cursor;
  expect(Object.keys(client.cache.extract() as object).filter((key) => key.startsWith('Conversation:'))).toEqual(['Conversation:r1']);
  expect(client.readQuery({ query: StartDocument })?.conversations.nodes[0]?.id).toBe('r1');
});

test('a cursor that is too old: what is shown may be gone, and all else goes on', async () => {
  const { client, find, asked, begin } = stage();
  const events = await begin(1);
  const failures: unknown[] = [];
  client.watchQuery({ query: ConversationDocument, variables: { id: 'r1' } }).subscribe(({ error }) => error && failures.push(error));
  (await find('Conversation')).answer(conversation(1));
  asked.length = 0;
  const cursor = events.context.resume?.expired?.(undefined as never, undefined as never); // neither is looked at
  (await find('Start')).answer(start('c9', 9));
  (await find('Conversation')).fail(new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code: 'NOT_FOUND' } }] }));
  await expect(cursor).resolves.toBe('c9');
  expect(failures).toHaveLength(1);
});

test('the longer it does not begin again, the less often it is tried', async () => {
  vi.useFakeTimers();
  const { live, asked, find, begin } = stage();
  (await begin(1)).end();
  const waits: number[] = [];
  for (let n = 0; n < 8; n++) {
    await vi.advanceTimersByTimeAsync(0);
    const wait = (live.connection.get().retryAt ?? 0) - Date.now();
    waits.push(wait);
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(wait + 1);
    (await find('Start')).fail(new TypeError('Failed to fetch'));
  }
  expect(waits[0]).toBeLessThanOrEqual(1_000);
  expect(Math.min(...waits.slice(-2)), `${waits}`).toBeGreaterThan(10_000);
});

test('what cannot begin is tried again, unless it never will', async () => {
  vi.useFakeTimers();
  const { live, asked, find } = stage();
  live.start();
  (await find('Start')).fail(new TypeError('Failed to fetch'));
  await vi.waitFor(() => expect(live.failure.get()).not.toBeNull());
  expect(live.connection.get().status).toBe('waiting');
  asked.length = 0;
  await vi.advanceTimersByTimeAsync(1_000);
  (await find('Start')).answer(start('c0', 0));
  expect((await find('Events')).variables).toEqual({ after: 'c0' });
  expect([live.me.get(), live.failure.get()]).toEqual(['ann', null]);

  for (const failures of [0, 1]) {
    asked.length = 0;
    live.start();
    for (let n = 0; n < failures; n++) {
      (await find('Start')).fail(new TypeError('Failed to fetch'));
      asked.length = 0;
      await vi.advanceTimersByTimeAsync(1_000);
    }
    (await find('Start')).fail(new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code: 'FORBIDDEN' } }] }));
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toEqual([]);
    expect(live.failure.get()?.message).toBe('no');
  }
});

test.each([['completes', () => undefined], ['fails', () => new Error('INTERNAL')]])('a subscription that %s for good begins anew, from an answer to the first question', async (_, cause) => {
  vi.useFakeTimers();
  const { live, asked, find, begin } = stage();
  const events = await begin(1);
  const error = cause();
  if (error) events.fail(error);
  else events.end();
  await vi.advanceTimersByTimeAsync(0);
  expect(live.connection.get().status).toBe('waiting');
  expect(asked, 'not when everybody does').toEqual([]);
  await vi.advanceTimersByTimeAsync(1_000);
  (await find('Start')).fail(new TypeError('Failed to fetch'));
  await vi.advanceTimersByTimeAsync(2_000);
  (await find('Start')).answer(start('c5', 5));
  expect((await find('Events')).variables).toEqual({ after: 'c5' });
});

test('what waits is sent when the way to the server is found again, and not before', async () => {
  vi.useFakeTimers();
  const { wake, find, begin } = stage();
  const events = await begin(1);
  const pass = (...statuses: Status[]) => statuses.forEach((status) => events.context.resume?.status?.(status, {}, undefined as never)); // which is not looked at
  pass('connecting', 'replaying', 'live');
  expect(wake).not.toHaveBeenCalled();
  pass('waiting', 'connecting', 'replaying');
  expect(wake).not.toHaveBeenCalled();
  pass('live', 'live');
  expect(wake).toHaveBeenCalledTimes(1);

  events.end();
  await vi.advanceTimersByTimeAsync(1_000);
  (await find('Start')).answer(start('c5', 5));
  const { context } = await find('Events');
  context.resume?.status?.('live', {}, undefined as never);
  expect(wake, 'when it had ended').toHaveBeenCalledTimes(2);
});

test('conversations with news that are not here are fetched until they come', async () => {
  vi.useFakeTimers();
  const { find, list, asked, begin } = stage();
  const events = await begin(1);
  events.answer({ events: { ...added(3), conversationId: 'r8' } }, false);
  (await find('OneConversation')).fail(new TypeError('Failed to fetch'));
  asked.length = 0;
  await vi.advanceTimersByTimeAsync(1_000);
  (await find('OneConversation')).answer({ conversation: { ...room(3), id: 'r8' } });
  await vi.waitFor(() => expect(list()?.sort()).toEqual(['r1', 'r8']));
  asked.length = 0;
  events.answer({ events: { ...added(3), conversationId: 'r9' } }, false);
  (await find('OneConversation')).fail(new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code: 'NOT_FOUND' } }] }));
  asked.length = 0;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked, 'unless the viewer has left them').toEqual([]);
});

test('conversations with news come although another one cannot be fetched', async () => {
  const { list, asked, begin } = stage();
  const events = await begin(1);
  for (const conversationId of ['r8', 'r9']) events.answer({ events: { ...added(3), conversationId } }, false);
  const of = (id: string) => vi.waitFor(() => {
    const found = asked.find(({ variables }) => 'id' in variables && variables.id === id);
    if (!found) throw new Error(`${id} was not asked for`);
    return found;
  });
  (await of('r8')).fail(new Error('INTERNAL'));
  (await of('r9')).answer({ conversation: { ...room(3), id: 'r9' } });
  await vi.waitFor(() => expect(list()?.sort()).toEqual(['r1', 'r9']));
});

test('conversations with news do not wait for one that cannot be fetched, which is tried at once when the connection is live', async () => {
  vi.useFakeTimers();
  const { find, list, asked, begin } = stage();
  const events = await begin(1);
  const refuse = async () => (await find('OneConversation')).fail(new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code: 'INTERNAL' } }] }));
  events.answer({ events: { ...added(3), conversationId: 'r8' } }, false);
  for (let n = 0; n < 7; n++) {
    await refuse();
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(30_000);
  }
  await refuse(); // the waits are long now
  asked.length = 0;
  events.answer({ events: { ...added(3), conversationId: 'r9' } }, false);
  await vi.advanceTimersByTimeAsync(100);
  (await find('OneConversation')).answer({ conversation: { ...room(3), id: 'r9' } });
  await vi.advanceTimersByTimeAsync(100);
  expect(list()?.sort()).toEqual(['r1', 'r9']);
  expect(asked.map(({ variables }) => variables)).toEqual([{ id: 'r9' }]);
  events.context.resume?.status?.('live', {}, undefined as never);
  await vi.advanceTimersByTimeAsync(100);
  (await find('OneConversation')).answer({ conversation: { ...room(3), id: 'r8' } });
  await vi.advanceTimersByTimeAsync(100);
  expect(list()?.sort()).toEqual(['r1', 'r8', 'r9']);
});

test('for many conversations with news that are not here the list is asked for', async () => {
  const { find, list, asked, begin } = stage();
  const events = await begin(1);
  for (let n = 10; n < 30; n++) events.answer({ events: { ...added(3), conversationId: `r${n}` } }, false);
  const rooms = Array.from({ length: 20 }, (_, n) => ({ ...room(3), id: `r${n + 10}` }));
  (await find('Start')).answer({ ...start('c9', 1), conversations: { __typename: 'ConversationConnection', nodes: rooms, pageInfo: page } });
  await vi.waitFor(() => expect(list()).toHaveLength(20));
  expect(asked.map(({ name }) => name)).toEqual(['Start']);
});

test('a late answer to what was read does not take a newer count back', async () => {
  const { live, client, find, begin } = stage();
  const events = await begin(1);
  const mutation = client.mutate({ mutation: MarkNotificationReadDocument, variables: { notificationId: 'n1' }, fetchPolicy: 'no-cache' });
  const late = await find('MarkNotificationRead');
  const told = { cursor: 'c2', at: '2026-11-21T09:00:00Z', unreadCount: 4 };
  events.answer({ events: { __typename: 'NotificationRead', notificationId: 'n0', ...told } }, false);
  const unread = () => client.readQuery({ query: StartDocument })?.unreadNotificationCount;
  await vi.waitFor(() => expect(unread()).toBe(4));
  late.answer({ markNotificationRead: { cursor: 'c1', unreadCount: 3, notification: { __typename: 'Notification', id: 'n1', readAt: null } } });
  await mutation;
  live.apply({ __typename: 'NotificationRead', cursor: 'c1', at: '', notificationId: 'n1', unreadCount: 3 });
  await new Promise((applied) => setTimeout(applied));
  expect(unread()).toBe(4);
});

test('what was sent before the replay has ended leaves the messages that are here', async () => {
  const { live, find, seqs, begin } = stage();
  const events = await begin(2);
  const loaded = live.history.load('r1', 'newest');
  (await find('History')).answer(history(2));
  await loaded;
  events.answer({ events: added(3) }, false);
  live.apply({ ...added(6), __typename: 'MessageAdded' });
  expect(seqs()).toEqual([1, 2, 3, 6]);
  for (const seq of [4, 5, 6]) events.answer({ events: added(seq) }, false);
  await vi.waitFor(() => expect(seqs()).toEqual([1, 2, 3, 4, 5, 6]));
});

test('who is signed out while the first answer is on its way is nobody', async () => {
  const { live, find } = stage();
  live.start();
  const first = await find('Start');
  live.stop();
  first.answer(start('c0', 0));
  await new Promise((answered) => setTimeout(answered, 10));
  expect(live.me.get()).toBeNull();
});

test('who is not signed in on the server any more is not shown anything', async () => {
  const { live, find } = stage();
  live.start();
  (await find('Start')).answer({ ...start('c0', 0), me: null });
  await vi.waitFor(() => expect(live.failure.get()).not.toBeNull());
  expect(live.me.get()).toBeNull();
});

test('hundreds of events in an open conversation leave nothing behind but its messages', async () => {
  const { live, client, find, seqs } = stage();
  live.start();
  (await find('Start')).answer(start('c0', 1));
  const events = await find('Events');
  for (const query of [client.watchQuery({ query: ConversationDocument, variables: { id: 'r1' } }), client.watchQuery({ query: StartDocument, fetchPolicy: 'cache-only' })]) query.subscribe(() => {});
  (await find('Conversation')).answer(conversation(1));
  live.history.of('r1').subscribe(() => {}); // it is open
  const loaded = live.history.load('r1', 'newest');
  (await find('History')).answer(history(1));
  await loaded;
  const results: number[] = [];
  for (let seq = 2; seq <= 600; seq++) {
    events.answer({ events: added(seq) }, false);
    await new Promise((shown) => setTimeout(shown));
    if (seq % 10 === 0) results.push(client.getMemoryInternals?.().sizes.inMemoryCache?.executeSelectionSet ?? NaN);
  }
  expect(seqs()).toHaveLength(600);
  expect(Object.keys(client.cache.extract() as object).length, 'entities').toBeLessThan(250);
  expect(Math.max(...results), 'results of reading them').toBeLessThan(2_000);
}, 30_000);
