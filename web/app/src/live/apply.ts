/**
 * What each event means to what is shown. An event says what is so now, and adds nothing to what was: applying one that
 * the cache shows already, or twice, does no harm. That is why nothing is lost or doubled between a query and the
 * subscription that begins at its cursor.
 *
 * @module
 */
import type { ApolloCache, Reference } from '@apollo/client';
import type { Modifier, ModifierDetails } from '@apollo/client/cache';
import type { Kept } from '../cache';
import {
  AccountDocument, type ConversationItemFragment, ConversationItemFragmentDoc, type CountedFragment, CountedFragmentDoc, type EventsSubscription, ExportDocument,
  KnownFragmentDoc, type MessageTextFragment, NotificationItemFragmentDoc, NotificationPreferencesDocument, PersonFragmentDoc, PersonNameFragmentDoc,
  type PresenceChangedSubscription, type ReceiptItemFragment, ReceiptsFragmentDoc, RequestItemFragmentDoc, type Role, SessionItemFragmentDoc,
} from '../gql/graphql';
import type { History } from './history';

export type Event = EventsSubscription['events'];

const conversationRef = (id: string) => ({ __typename: 'Conversation', id }) as const;
const userRef = (id: string) => ({ __typename: 'User', id }) as const;

/**
 * Applies one event.
 *
 * @param history the messages, which are not in the cache
 * @param me the viewer's id
 * @returns the id of a conversation that the event is about and the cache does not have: fetch it, and `enter` it
 */
export function apply(cache: ApolloCache, history: History, me: string, event: Event): string | undefined {
  let missing: string | undefined;
  cache.batch({
    update: () => {
      missing = change(cache, history, me, event);
    },
  });
  return missing;
}

function change(cache: ApolloCache, history: History, me: string, event: Event): string | undefined {
  switch (event.__typename) {
    case 'FriendRequestSent':
    case 'FriendRequestAccepted':
    case 'FriendRequestRejected':
    case 'FriendRequestCancelled': {
      const { request } = event; // as it stands now, which may be later than this event; lists show what is pending
      cache.writeFragment({ fragment: RequestItemFragmentDoc, fragmentName: 'RequestItem', data: request });
      const direction = request.to.id === me ? 'INCOMING' : 'OUTGOING';
      include(cache, `friendRequests:${JSON.stringify({ direction })}`, { __typename: 'FriendRequest', id: request.id });
      return;
    }

    case 'FriendshipMade':
      writePerson(cache, event.user);
      revise(cache, undefined, 'friends', (kept, { toReference, readField }) => {
        if (kept.nodes.some((node) => readField('id', readField<Reference>('user', node)) === event.user.id)) return kept;
        const conversation = toReference(conversationRef(event.conversationId), true); // it may come later
        const ref = toReference({ __typename: 'Friendship', user: toReference(userRef(event.user.id)), since: event.at, conversation }, true);
        return ref ? { ...kept, nodes: [ref, ...kept.nodes] } : kept;
      });
      return;
    case 'FriendshipEnded': // that their conversation is silent comes as a ConversationUpdated
      writePerson(cache, event.user); // lists show who is a friend
      return;
    case 'UserBlocked':
      writePerson(cache, event.user);
      include(cache, 'blockedUsers', userRef(event.user.id));
      return;
    case 'UserUnblocked':
      writePerson(cache, event.user);
      return;

    case 'ProfileChanged': {
      const { displayName, username, avatarUrl, picture, bio } = event.user;
      cache.modify({
        id: cache.identify(userRef(event.user.id)) ?? '',
        fields: {
          displayName: () => displayName,
          username: () => username,
          bio: () => bio,
          avatarUrl: (_, { storeFieldName }) => (storeFieldName.includes('MEDIUM') ? picture : avatarUrl),
        },
      });
      history.rename({ id: event.user.id, displayName, username, avatarUrl, bot: event.user.bot });
      return;
    }

    case 'ConversationCreated':
      enter(cache, event.conversation);
      return;
    case 'ConversationUpdated':
      if (!here(cache, event.conversationId)) return;
      set(cache, event.conversationId, { title: event.conversation.title, writable: event.conversation.writable, avatarUrl: event.conversation.avatarUrl });
      return;
    case 'ConversationDeleted':
      leave(cache, history, event.conversationId);
      return;

    case 'MemberAdded':
      if (event.user.id === me) {
        if (!here(cache, event.conversationId)?.role) forget(cache, history, event.conversationId); // what is there may have changed meanwhile
        enter(cache, event.conversation);
      } else if (here(cache, event.conversationId)) {
        addMember(cache, event.conversationId, event.user, event.role, event.at);
        set(cache, event.conversationId, { memberCount: event.conversation.memberCount });
      }
      return;
    case 'MemberRemoved':
    case 'MemberLeft':
      if (event.user.id === me) {
        leave(cache, history, event.conversationId);
      } else if (here(cache, event.conversationId)) {
        removeMember(cache, event.conversationId, event.user.id);
        set(cache, event.conversationId, { memberCount: event.memberCount });
      }
      return;
    case 'MemberRoleChanged':
      if (event.user.id === me) set(cache, event.conversationId, { role: event.role });
      revise<Member>(cache, event.conversationId, 'members', (kept, { readField }) => ({
        ...kept,
        nodes: kept.nodes.map((node) => (readField('id', node.user) === event.user.id ? { ...node, role: event.role } : node)),
      }));
      return;

    case 'MessageAdded': {
      history.add(event.conversationId, event.message);
      const before = here(cache, event.conversationId);
      if (!before) return event.conversationId;
      count(cache, me, event.conversationId, before, event.message);
      if (before.role !== null) include(cache, 'conversations', conversationRef(event.conversationId)); // the list may not reach so far
      return;
    }
    case 'ReceiptUpdated':
      if (here(cache, event.conversationId)) read(cache, me, event.conversationId, event.receipt);
      return;
    case 'ConversationNotificationsChanged':
      set(cache, event.conversationId, { notificationLevel: event.level, mutedUntil: event.mutedUntil });
      return;

    case 'NotificationAdded':
      cache.writeFragment({ fragment: NotificationItemFragmentDoc, fragmentName: 'NotificationItem', data: event.notification });
      include(cache, 'notifications', { __typename: 'Notification', id: event.notification.id });
      countNotifications(cache, event.unreadCount);
      return;
    case 'NotificationRead':
      readNotification(cache, event.notificationId, event.at);
      countNotifications(cache, event.unreadCount);
      return;
    case 'NotificationsRead':
      readNotifications(cache, event.through, event.at);
      countNotifications(cache, event.unreadCount);
      return;

    case 'NotificationPreferencesChanged':
      cache.writeQuery({ query: NotificationPreferencesDocument, data: { notificationPreferences: event.preferences } });
      return;
    case 'AccountUpdated':
      cache.writeQuery({ query: AccountDocument, data: { account: event.account } });
      return;
    case 'ExportUpdated':
      cache.writeQuery({ query: ExportDocument, data: { export: event.export } });
      return;
    case 'SessionStarted':
      cache.writeFragment({ fragment: SessionItemFragmentDoc, fragmentName: 'SessionItem', data: event.session });
      include(cache, 'sessions', { __typename: 'Session', id: event.session.id });
      return;
    case 'SessionEnded':
      revise(cache, undefined, 'sessions', (kept, { readField }) => ({ ...kept, nodes: kept.nodes.filter((node) => readField('id', node) !== event.sessionId) }));
      return;

    case 'CaughtUp': // what is shown from here on is as new as can be
    case 'BotUpdated': // nothing shows it
      return;
  }
}

/**
 * Takes a conversation that appears for the viewer, as it is now. Without a role it is told of only because it is in the
 * past: the viewer has left it since, which a later event says.
 */
export function enter(cache: ApolloCache, conversation: ConversationItemFragment): void {
  if (conversation.role === null) return;
  cache.writeFragment({ fragment: ConversationItemFragmentDoc, fragmentName: 'ConversationItem', data: conversation });
  include(cache, 'conversations', conversationRef(conversation.id));
}

/** Takes a conversation from the viewer: who looks at it still finds it without a role. What was said and read goes, as more follows until the viewer is back. */
export function leave(cache: ApolloCache, history: History, conversationId: string): void {
  set(cache, conversationId, { role: null });
  forget(cache, history, conversationId, ['receipts']);
  revise(cache, undefined, 'conversations', (kept, { readField }) => ({ ...kept, nodes: kept.nodes.filter((node) => readField('id', node) !== conversationId) }));
}

/** Drops what is known of a conversation's inside; whoever looks at it fetches it anew. */
export function forget(cache: ApolloCache, history: History, conversationId: string, fields = ['receipts', 'members']): void {
  history.drop(conversationId);
  const id = cache.identify(conversationRef(conversationId));
  if (!id) return;
  for (const fieldName of fields) cache.evict({ id, fieldName });
}

/** Presences replace what was known of these users. */
export function applyPresence(cache: ApolloCache, { presences }: PresenceChangedSubscription['presenceChanged']): void {
  cache.batch({
    update() {
      for (const { user, status, lastSeenAt } of presences) {
        const presence = { __typename: 'Presence', status, lastSeenAt } as const;
        cache.writeFragment({ fragment: KnownFragmentDoc, data: { __typename: 'User', id: user.id, presence } as typeof user & { presence: typeof presence } }); // __typename is what the cache finds it by
      }
    },
  });
}

function countNotifications(cache: ApolloCache, unread: number): void {
  cache.modify({ fields: { unreadNotificationCount: () => unread } });
}

function readNotification(cache: ApolloCache, id: string, at: string): void {
  const known = cache.identify({ __typename: 'Notification', id }) ?? '';
  cache.modify({ id: known, fields: { readAt: (before: string | null) => before ?? at } }); // the first time counts
}

/** Reads those whose ids are not greater: ids sort by when they were made. */
function readNotifications(cache: ApolloCache, through: string, at: string): void {
  const ids: string[] = [];
  revise(cache, undefined, 'notifications', (kept, { readField }) => {
    for (const node of kept.nodes) ids.push(readField<string>('id', node) ?? '');
    return kept;
  });
  for (const id of ids) if (id <= through) readNotification(cache, id, at);
}

/** What a message changes about its conversation. */
function count(cache: ApolloCache, me: string, conversationId: string, before: CountedFragment, message: MessageTextFragment): void {
  if (message.seq > (before.lastMessage?.seq ?? 0)) {
    const id = cache.identify(conversationRef(conversationId)) ?? '';
    const unread = unreadAfter(before, message.seq, 0);
    const data = { __typename: 'Conversation', role: before.role, updatedAt: message.createdAt, unreadCount: unread, lastMessage: message } as const;
    cache.writeFragment({ id, fragment: CountedFragmentDoc, fragmentName: 'Counted', data });
  }
  read(cache, me, conversationId, { user: message.sender, seq: message.seq, readAt: message.createdAt }); // who writes has read
}

/** How much is not read when the newest message is `last` and the viewer has read up to `mark`, or further before. */
function unreadAfter(before: { unreadCount: number; lastMessage: { seq: number } | null }, last: number, mark: number): number {
  const known = (before.lastMessage?.seq ?? 0) - before.unreadCount;
  return Math.max(0, last - Math.max(known, mark));
}

/** Moves a read mark, never back. */
function read(cache: ApolloCache, me: string, conversationId: string, receipt: ReceiptItemFragment): void {
  if (receipt.user.id === me) {
    const before = here(cache, conversationId);
    if (before) set(cache, conversationId, { unreadCount: unreadAfter(before, before.lastMessage?.seq ?? 0, receipt.seq) });
    return;
  }
  const id = cache.identify(conversationRef(conversationId)) ?? '';
  const before = cache.readFragment({ id, fragment: ReceiptsFragmentDoc, fragmentName: 'Receipts' });
  if (!before) return;
  const { receipts } = before;
  const newer = { ...receipt, __typename: 'Receipt' as const };
  const nodes = receipts.nodes.map((old) => (old.user.id === receipt.user.id && receipt.seq > old.seq ? newer : old));
  cache.writeFragment({ id, fragment: ReceiptsFragmentDoc, fragmentName: 'Receipts', data: { ...before, receipts: { ...receipts, nodes } } });
}

interface Member {
  __typename: 'Member';
  user: Reference;
  role: Role;
  joinedAt: string;
}

/** Puts the newcomer last, wherever they stood: members are listed as they joined. */
function addMember(cache: ApolloCache, conversationId: string, user: MessageTextFragment['sender'], role: Role, at: string): void {
  removeMember(cache, conversationId, user.id);
  const ref = cache.writeFragment({ fragment: PersonNameFragmentDoc, fragmentName: 'PersonName', data: user });
  revise<Member>(cache, conversationId, 'members', (kept) => {
    if (kept.pageInfo?.hasNextPage || !ref) return kept; // comes with the last page
    return { ...kept, nodes: [...kept.nodes, { __typename: 'Member', user: ref, role, joinedAt: at }] };
  });
  const id = cache.identify(conversationRef(conversationId)) ?? '';
  const before = cache.readFragment({ id, fragment: ReceiptsFragmentDoc, fragmentName: 'Receipts' });
  if (!before) return;
  const nodes = [...before.receipts.nodes, { __typename: 'Receipt' as const, user, seq: 0, readAt: null }];
  cache.writeFragment({ id, fragment: ReceiptsFragmentDoc, fragmentName: 'Receipts', data: { ...before, receipts: { ...before.receipts, nodes } } });
}

function removeMember(cache: ApolloCache, conversationId: string, userId: string): void {
  for (const list of ['members', 'receipts']) {
    revise<{ user: Reference }>(cache, conversationId, list, (kept, { readField }) => ({
      ...kept,
      nodes: kept.nodes.filter((node) => readField('id', node.user) !== userId),
    }));
  }
}

function writePerson(cache: ApolloCache, person: Parameters<typeof enter>[1]['peer']): void {
  if (person) cache.writeFragment({ fragment: PersonFragmentDoc, fragmentName: 'Person', data: person });
}

/** Puts something first into a list at the root, if that was asked for and has it not. */
function include(cache: ApolloCache, list: string, node: { __typename: string; id: string }): void {
  const [fieldName = ''] = list.split(':');
  revise(cache, undefined, fieldName, (kept, { storeFieldName, toReference, readField }) => {
    const ref = toReference(node);
    if (storeFieldName !== list || !ref || kept.nodes.some((other) => readField('id', other) === node.id)) return kept;
    return { ...kept, nodes: [ref, ...kept.nodes] };
  });
}

/** Changes a list of a conversation, or of the root, if it was ever asked for. */
function revise<Node = Reference>(
  cache: ApolloCache,
  conversationId: string | undefined,
  list: string,
  change: (kept: Kept<Node>, details: ModifierDetails) => Kept<Node>,
): void {
  const id = conversationId === undefined ? 'ROOT_QUERY' : (cache.identify(conversationRef(conversationId)) ?? '');
  cache.modify({ id, fields: { [list]: change as Modifier<unknown> } }); // the policies in ../cache say that these are lists
}

/** What is kept of a conversation; null while it is not here. */
function here(cache: ApolloCache, conversationId: string): CountedFragment | null {
  const id = cache.identify(conversationRef(conversationId)) ?? '';
  return cache.readFragment({ id, fragment: CountedFragmentDoc, fragmentName: 'Counted' });
}

function set(cache: ApolloCache, conversationId: string, values: Record<string, unknown>): void {
  const fields = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, () => value]));
  cache.modify({ id: cache.identify(conversationRef(conversationId)) ?? '', fields });
}
