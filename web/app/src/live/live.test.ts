import { ApolloClient, ApolloLink, Observable } from '@apollo/client';
import { expect, test, vi } from 'vitest';
import { createCache } from '../cache';
import { ConversationDocument, StartDocument } from '../gql/graphql';
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
  const asked: { name: string; variables: object; context: ApolloLink.OperationContext; answer(data: Record<string, unknown>, last?: boolean): void }[] = [];
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
        });
      }),
  );
  const client = new ApolloClient({ cache: createCache(), link: live.link.concat(server) });
  live.attach(client, { open() {}, saw() {}, wake() {} } as unknown as Outbox, async () => false); // sends nothing here
  const find = (name: string) => vi.waitFor(() => {
    const found = asked.filter((other) => other.name === name).at(-1);
    if (!found) throw new Error(`${name} was not asked`);
    return found;
  });
  const seqs = () => live.history.of('r1').get()?.nodes.map(({ seq }) => seq);
  return { live, client, asked, find, seqs };
}

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
