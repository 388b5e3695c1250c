import type { InMemoryCache } from '@apollo/client';
import { beforeEach, describe, expect, test } from 'vitest';
import { createCache } from '../cache';
import {
  AccountDocument, BlockedDocument, ConversationDocument, CountedFragmentDoc, ExportDocument, FriendsDocument, MembersDocument, NotificationPreferencesDocument,
  NotificationsDocument, OnePersonDocument, RequestsDocument, SessionsDocument, StartDocument,
} from '../gql/graphql';
import { apply, applyPresence, type Event } from './apply';
import { History } from './history';

// Ann looks. She, Bob and Cleo are in a group where five messages were sent, of which she has read three.
const at = (minute: number) => new Date(Date.UTC(2026, 10, 21, 9, minute)).toISOString();
const user = (id: string) => ({ __typename: 'User' as const, id, username: id, displayName: id.toUpperCase(), bot: false, avatarUrl: null });
const person = (id: string, relationship = 'FRIEND') => ({ ...user(id), relationship, presence: null });
const message = (seq: number, sender = 'bob') => ({ __typename: 'Message' as const, id: `msg_${seq}`, seq, body: `message ${seq}`, createdAt: at(seq), sender: user(sender) });
const end = { __typename: 'PageInfo' as const, hasNextPage: false, hasPreviousPage: false, startCursor: 'a', endCursor: 'z' };
const list = <Node>(__typename: string, nodes: Node[], pageInfo: object = end) => ({ __typename, nodes, pageInfo });
const room = (id: string, more: object = {}) => ({
  __typename: 'Conversation' as const, id, kind: 'GROUP' as const, title: `Room ${id}`, avatarUrl: null, createdAt: at(0), updatedAt: at(5), memberCount: 3,
  role: 'MEMBER' as const, writable: true, unreadCount: 2, notificationLevel: 'ALL' as const, mutedUntil: null, peer: null, lastMessage: message(5), ...more,
});
const receipt = (id: string, seq: number) => ({ __typename: 'Receipt' as const, user: user(id), seq, readAt: seq > 0 ? at(seq) : null });
const request = (id: string, from: string, to: string, status = 'PENDING') => ({
  __typename: 'FriendRequest' as const, id, status, createdAt: at(1), answeredAt: null, from: person(from, 'NONE'), to: person(to, 'NONE'),
});
const head = { cursor: 'c1', at: at(30) };
// What a test leaves out of an event is what `apply` does not look at.
const event = (typename: Event['__typename'], fields: object = {}) => ({ __typename: typename, ...head, ...fields }) as Event;

let cache: InMemoryCache;
let history: History;
const did = (typename: Event['__typename'], fields: object = {}) => {
  const found = apply(cache, history, 'ann', event(typename, fields));
  const once = kept();
  apply(cache, history, 'ann', event(typename, fields));
  expect(kept(), 'a second time it changes nothing').toEqual(once);
  return found;
};

/** All that is held; what lies in the cache unused is not told apart. */
const kept = () => {
  const { __META, ...entities } = cache.extract();
  return { ...entities, said: said() };
};

const start = () => cache.readQuery({ query: StartDocument });
const open = (id = 'r1') => cache.readQuery({ query: ConversationDocument, variables: { id } })?.conversation;
const role = () => cache.readFragment({ id: 'Conversation:r1', fragment: CountedFragmentDoc, fragmentName: 'Counted' })?.role;
const members = () => cache.readQuery({ query: MembersDocument, variables: { id: 'r1' } })?.conversation.members.nodes.map(({ user, role }) => `${user.id} ${role}`);
const rooms = () => start()?.conversations.nodes.map(({ id }) => id);
const asked = (direction: 'INCOMING' | 'OUTGOING') => cache.readQuery({ query: RequestsDocument, variables: { direction } })?.friendRequests.nodes.map(({ id }) => id);
const friends = () => cache.readQuery({ query: FriendsDocument })?.friends.nodes.map(({ user }) => user.id);
const blocked = () => cache.readQuery({ query: BlockedDocument })?.blockedUsers.nodes.map(({ id }) => id);
const said = (id = 'r1') => history.of(id).get()?.nodes;
const seqs = () => said()?.map(({ seq }) => seq);
const marks = () => open()?.receipts.nodes.map(({ user, seq }) => `${user.id} ${seq}`);

// Written as answers come: with names of types, which the generated types leave out.
const write = (query: object, variables: object, data: object) => cache.writeQuery({ query, variables, data } as Parameters<InMemoryCache['writeQuery']>[0]);

beforeEach(async () => {
  cache = createCache();
  history = new History(async () => ({ nodes: [1, 2, 3, 4, 5].map((seq) => message(seq)), pageInfo: end }));
  await history.load('r1', 'newest');
  write(StartDocument, {}, {
    cursor: 'c0', me: { ...person('ann', 'SELF'), bio: '', createdAt: at(0) }, unreadNotificationCount: 1,
    conversations: list('ConversationConnection', [room('r1'), room('r2', { updatedAt: at(4), unreadCount: 0, lastMessage: null })]),
    friendRequests: list('FriendRequestConnection', [request('q1', 'dan', 'ann')]),
  });
  write(ConversationDocument, { id: 'r1' }, {
    conversation: { ...room('r1'), receipts: list('ReceiptConnection', [receipt('bob', 5), receipt('cleo', 2)]) },
  });
  const member = (id: string, role: string) => ({ __typename: 'Member', user: person(id), role, joinedAt: at(0) });
  write(MembersDocument, { id: 'r1', after: null }, { conversation: { ...room('r1'), members: list('MemberConnection', [member('bob', 'OWNER'), member('ann', 'MEMBER'), member('cleo', 'MEMBER')]) } });
  write(RequestsDocument, { direction: 'OUTGOING' }, { friendRequests: list('FriendRequestConnection', []) });
  write(FriendsDocument, {}, { friends: list('FriendshipConnection', [{ __typename: 'Friendship', since: at(0), user: person('bob'), conversation: { __typename: 'Conversation', id: 'd1' } }]) });
  write(BlockedDocument, {}, { blockedUsers: list('UserConnection', [person('eve', 'BLOCKED')]) });
});

describe('messages', () => {
  test('MessageAdded is shown, moves its conversation up and counts what is not read', () => {
    did('MessageAdded', { conversationId: 'r2', message: { ...message(1), id: 'other', createdAt: at(9) } });
    expect(rooms()).toEqual(['r2', 'r1']);
    expect(start()?.conversations.nodes[0]).toMatchObject({ unreadCount: 1, lastMessage: { seq: 1 }, updatedAt: at(9) });
    did('MessageAdded', { conversationId: 'r1', message: message(6) });
    expect(seqs()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(open()).toMatchObject({ unreadCount: 3, lastMessage: { seq: 6 } });
  });

  test('MessageAdded that is shown already changes nothing', () => {
    const before = kept();
    did('MessageAdded', { conversationId: 'r1', message: message(4) });
    expect(kept()).toEqual(before);
  });

  test('MessageAdded: who writes has read', () => {
    did('MessageAdded', { conversationId: 'r1', message: message(6, 'ann') });
    expect(open()?.unreadCount).toBe(0);
    did('MessageAdded', { conversationId: 'r1', message: message(7, 'cleo') });
    expect(open()?.unreadCount).toBe(1);
    expect(marks()).toEqual(['bob 5', 'cleo 7']);
  });

  test('MessageAdded of a conversation that is not here asks for it', () => {
    expect(did('MessageAdded', { conversationId: 'r9', message: message(1) })).toBe('r9');
    expect(did('MessageAdded', { conversationId: 'r1', message: message(6) })).toBeUndefined();
  });

  test('MessageAdded brings a conversation into the list that was opened further down', () => {
    const far = room('r7', { updatedAt: at(1), unreadCount: 0, lastMessage: null });
    write(ConversationDocument, { id: 'r7' }, { conversation: { ...far, receipts: list('ReceiptConnection', []) } });
    expect(rooms()).toEqual(['r1', 'r2']);
    did('MessageAdded', { conversationId: 'r7', message: { ...message(1), id: 'far', createdAt: at(20) } });
    expect(rooms()).toEqual(['r7', 'r1', 'r2']);
    did('MemberLeft', { conversationId: 'r7', user: { id: 'ann' }, memberCount: 2 });
    did('MessageAdded', { conversationId: 'r7', message: { ...message(2), id: 'farther' } });
    expect(rooms(), 'which the viewer has left').toEqual(['r1', 'r2']);
  });

  test('ReceiptUpdated moves marks, and never back', () => {
    did('ReceiptUpdated', { conversationId: 'r1', receipt: receipt('cleo', 4) });
    did('ReceiptUpdated', { conversationId: 'r1', receipt: receipt('bob', 1) });
    expect(marks()).toEqual(['bob 5', 'cleo 4']);
    did('ReceiptUpdated', { conversationId: 'r1', receipt: receipt('ann', 4) });
    expect(open()?.unreadCount).toBe(1);
    did('ReceiptUpdated', { conversationId: 'r1', receipt: receipt('ann', 2) });
    expect(open()?.unreadCount).toBe(1);
  });
});

describe('conversations and members', () => {
  test('ConversationCreated appears, unless the viewer has left it since', () => {
    did('ConversationCreated', { conversationId: 'r3', conversation: room('r3', { updatedAt: at(20) }) });
    expect(rooms()).toEqual(['r3', 'r1', 'r2']);
    did('ConversationCreated', { conversationId: 'r4', conversation: room('r4', { role: null }) });
    expect(rooms()).toEqual(['r3', 'r1', 'r2']);
  });

  test('ConversationUpdated', () => {
    did('ConversationUpdated', { conversationId: 'r1', conversation: { id: 'r1', title: 'New', writable: false, avatarUrl: '/files/x' } });
    expect(open()).toMatchObject({ title: 'New', writable: false, avatarUrl: '/files/x' });
  });

  test('ConversationDeleted leaves the list, and is no place to write', () => {
    did('ConversationDeleted', { conversationId: 'r1' });
    expect(rooms()).toEqual(['r2']);
    expect([role(), open()]).toEqual([null, undefined]);
    expect(said()).toBeUndefined();
  });

  test('MemberAdded: another comes last', () => {
    did('MemberAdded', { conversationId: 'r1', user: person('dan'), role: 'MEMBER', conversation: room('r1', { memberCount: 4 }) });
    expect(members()).toEqual(['bob OWNER', 'ann MEMBER', 'cleo MEMBER', 'dan MEMBER']);
    expect(marks()).toEqual(['bob 5', 'cleo 2', 'dan 0']);
    expect(open()?.memberCount).toBe(4);
  });

  test('MemberAdded: the viewer finds the conversation with all that was said', () => {
    did('MemberRemoved', { conversationId: 'r1', user: { id: 'ann' }, memberCount: 2 });
    did('MemberAdded', { conversationId: 'r1', user: user('ann'), role: 'MEMBER', conversation: room('r1') });
    expect(rooms()).toEqual(['r1', 'r2']);
    expect([open(), said()], 'fetched anew').toEqual([undefined, undefined]);
  });

  test('MemberAdded: what the viewer has opened since stays open', () => {
    did('MemberAdded', { conversationId: 'r1', user: user('ann'), role: 'MEMBER', conversation: room('r1') });
    expect(seqs()).toEqual([1, 2, 3, 4, 5]);
    expect(marks()).toEqual(['bob 5', 'cleo 2']);
    expect(members()).toHaveLength(3);
  });

  test.each(['MemberRemoved', 'MemberLeft'] as const)('%s', (typename) => {
    did(typename, { conversationId: 'r1', user: { id: 'cleo' }, memberCount: 2 });
    expect(members()).toEqual(['bob OWNER', 'ann MEMBER']);
    expect(marks()).toEqual(['bob 5']);
    expect(open()?.memberCount).toBe(2);
    did(typename, { conversationId: 'r1', user: { id: 'ann' }, memberCount: 1 });
    expect(rooms()).toEqual(['r2']);
    expect([role(), open()]).toEqual([null, undefined]);
    expect(said()).toBeUndefined();
  });

  test('MemberRoleChanged', () => {
    did('MemberRoleChanged', { conversationId: 'r1', user: { id: 'cleo' }, role: 'ADMIN' });
    did('MemberRoleChanged', { conversationId: 'r1', user: { id: 'ann' }, role: 'OWNER' });
    expect(members()).toEqual(['bob OWNER', 'ann OWNER', 'cleo ADMIN']);
    expect(open()?.role).toBe('OWNER');
  });

  test('ConversationNotificationsChanged', () => {
    did('ConversationNotificationsChanged', { conversationId: 'r1', level: 'MENTIONS', mutedUntil: at(50) });
    expect(open()).toMatchObject({ notificationLevel: 'MENTIONS', mutedUntil: at(50) });
  });
});

describe('people', () => {
  test('FriendRequestSent', () => {
    did('FriendRequestSent', { request: request('q2', 'eve', 'ann') });
    did('FriendRequestSent', { request: request('q3', 'ann', 'fay') });
    expect(asked('INCOMING')).toEqual(['q2', 'q1']);
    expect(asked('OUTGOING')).toEqual(['q3']);
  });

  test.each([['FriendRequestAccepted', 'ACCEPTED'], ['FriendRequestRejected', 'REJECTED'], ['FriendRequestCancelled', 'CANCELLED']] as const)('%s', (typename, status) => {
    did(typename, { request: request('q1', 'dan', 'ann', status) });
    expect(asked('INCOMING')).toEqual([]);
  });

  test('FriendshipMade and FriendshipEnded', () => {
    did('FriendshipMade', { conversationId: 'd2', user: person('dan') });
    expect(friends()).toEqual(['dan', 'bob']);
    did('FriendshipEnded', { conversationId: 'd1', user: person('bob', 'NONE') });
    expect(friends()).toEqual(['dan']);
    did('FriendshipMade', { conversationId: 'd1', user: person('bob') });
    expect(friends()?.sort()).toEqual(['bob', 'dan']);
  });

  test('UserBlocked and UserUnblocked', () => {
    did('UserBlocked', { user: person('dan', 'BLOCKED') });
    expect(blocked()).toEqual(['dan', 'eve']);
    did('UserUnblocked', { user: person('eve', 'NONE') });
    expect(blocked()).toEqual(['dan']);
  });

  test('ProfileChanged', () => {
    write(OnePersonDocument, { id: 'bob' }, { user: { ...person('bob'), bio: '', createdAt: at(0), picture: null } });
    did('ProfileChanged', { user: { ...user('bob'), displayName: 'Robert', bio: 'Hi', avatarUrl: '/small', picture: '/medium' } });
    expect(cache.readQuery({ query: OnePersonDocument, variables: { id: 'bob' } })?.user).toMatchObject({ displayName: 'Robert', bio: 'Hi', avatarUrl: '/small', picture: '/medium' });
    expect(said()?.[0]?.sender.displayName).toBe('Robert');
  });

  test('presence', () => {
    applyPresence(cache, { snapshot: true, presences: [{ user: { id: 'bob' }, status: 'ONLINE', lastSeenAt: null }] });
    expect(cache.readQuery({ query: FriendsDocument })?.friends.nodes[0]?.user.presence?.status).toBe('ONLINE');
  });
});

describe('notifications', () => {
  const told = (id: string, readAt: string | null = null) => ({
    __typename: 'Notification' as const, id, kind: 'MENTION', createdAt: at(1), readAt, actor: user('bob'), conversationId: null, conversation: null, message: null, request: null,
  });
  const unread = () => cache.readQuery({ query: NotificationsDocument })?.notifications.nodes.filter(({ readAt }) => !readAt).map(({ id }) => id);
  beforeEach(() => write(NotificationsDocument, {}, { notifications: list('NotificationConnection', [told('n2'), told('n1')]) }));

  test('NotificationAdded', () => {
    did('NotificationAdded', { unreadCount: 7, notification: told('n3') });
    expect(unread()).toEqual(['n3', 'n2', 'n1']);
    expect(start()?.unreadNotificationCount).toBe(7);
  });

  test('NotificationRead', () => {
    did('NotificationRead', { unreadCount: 0, notificationId: 'n2' });
    expect(unread()).toEqual(['n1']);
    expect(start()?.unreadNotificationCount).toBe(0);
  });

  test('NotificationsRead', () => {
    did('NotificationAdded', { unreadCount: 3, notification: told('n3') });
    did('NotificationsRead', { unreadCount: 1, through: 'n2' });
    expect(unread()).toEqual(['n3']);
    expect(start()?.unreadNotificationCount).toBe(1);
  });

  test('NotificationPreferencesChanged', () => {
    const preferences = { __typename: 'NotificationPreferences', kinds: [], quietHours: null, timeZone: 'Europe/Berlin', digest: false, digestHour: 7 };
    did('NotificationPreferencesChanged', { preferences });
    expect(cache.readQuery({ query: NotificationPreferencesDocument })?.notificationPreferences).toEqual(preferences);
  });
});

describe('the account', () => {
  const session = (id: string) => ({ __typename: 'Session', id, createdAt: at(1), lastUsedAt: at(1), expiresAt: at(50), userAgent: 'Firefox', address: '', current: false });
  const sessions = () => cache.readQuery({ query: SessionsDocument })?.sessions.nodes.map(({ id }) => id);

  test('AccountUpdated', () => {
    const account = { __typename: 'Account', email: 'ann@example.org', emailVerifiedAt: at(2), unverifiedEmail: null };
    did('AccountUpdated', { account });
    expect(cache.readQuery({ query: AccountDocument })?.account).toEqual(account);
  });

  test('SessionStarted and SessionEnded', () => {
    write(SessionsDocument, {}, { sessions: list('SessionConnection', [session('s1')]) });
    did('SessionStarted', { session: session('s2') });
    expect(sessions()).toEqual(['s2', 's1']);
    did('SessionEnded', { sessionId: 's1' });
    expect(sessions()).toEqual(['s2']);
  });

  test('ExportUpdated', () => {
    const made = { __typename: 'Export', status: 'READY', createdAt: at(1), expiresAt: at(50), url: null };
    did('ExportUpdated', { export: made });
    expect(cache.readQuery({ query: ExportDocument })?.export).toMatchObject({ status: 'READY' });
  });
});

test.each(['CaughtUp', 'BotUpdated'] as const)('%s changes nothing that is shown', (typename) => {
  const before = kept();
  did(typename);
  expect(kept()).toEqual(before);
});
