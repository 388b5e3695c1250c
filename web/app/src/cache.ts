import { type FieldPolicy, type FieldReadFunction, InMemoryCache, type Reference } from '@apollo/client';

/** A page of a connection, as the cache keeps it. */
export interface Kept<T = Reference> {
  __typename?: string;
  nodes: readonly T[];
  pageInfo?: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null };
}

/**
 * A list that grows page by page: a page `after` another is added to it, one without replaces it.
 *
 * @param shown leaves out what does not belong there any more, as soon as the cache knows it
 */
function growing(keyArgs: string[] | false, shown: (node: Reference, context: Parameters<FieldReadFunction>[1]) => boolean = () => true): FieldPolicy<Kept> {
  return {
    keyArgs,
    merge(existing, incoming, { args, readField }) {
      if (!args?.['after'] || !existing) return incoming;
      const id = (node: Reference) => readField('id', node) ?? readField('id', readField<Reference>('user', node));
      const here = new Set(existing.nodes.map(id));
      return { ...incoming, nodes: [...existing.nodes, ...incoming.nodes.filter((node) => !here.has(id(node)))] };
    },
    read: (existing, context) => existing && { ...existing, nodes: existing.nodes.filter((node) => shown(node, context)) },
  };
}

/** A cache that knows how Parley's lists are paged, and what belongs into them. */
export function createCache(): InMemoryCache {
  return new InMemoryCache({
    typePolicies: {
      Query: {
        fields: {
          conversation: { read: (_, { args, toReference }) => toReference({ __typename: 'Conversation', id: args?.['id'] }) },
          user: { read: (_, { args, toReference }) => toReference({ __typename: 'User', id: args?.['id'] }) },
          conversations: {
            ...growing(false),
            read(existing: Kept | undefined, { readField, canRead }) {
              if (!existing) return existing;
              const at = (node: Reference) => readField<string>('updatedAt', node) ?? '';
              return { ...existing, nodes: existing.nodes.filter(canRead).sort((a, b) => Date.parse(at(b)) - Date.parse(at(a))) };
            },
          },
          friends: growing(false, (node, { readField }) => readField('relationship', readField<Reference>('user', node)) === 'FRIEND'),
          friendRequests: growing(['direction'], (node, { readField }) => readField('status', node) === 'PENDING'),
          blockedUsers: growing(false, (node, { readField }) => readField('relationship', node) === 'BLOCKED'),
          users: growing(['search']),
          notifications: growing(false),
          sessions: growing(false),
        },
      },
      Conversation: { fields: { receipts: { keyArgs: false, merge: false }, members: growing(false) } },
      User: { fields: { presence: { merge: false } } },
      // The viewer has one of each.
      Account: { keyFields: [] },
      NotificationPreferences: { keyFields: [] },
      Export: { keyFields: [] },
      // Without ids of their own.
      Friendship: { keyFields: ['user', ['id']] },
      Member: { keyFields: false },
      Receipt: { keyFields: false },
      Presence: { keyFields: false },
    },
  });
}

/**
 * Lets go of what nothing leads to any more, such as messages that were the last ones of their conversations, and of the
 * results that were read of it.
 */
export function tidy(cache: InMemoryCache): void {
  // Each entity that was written by itself counts as a root.
  for (const id of cache.extract().__META?.extraRootIds ?? []) while (cache.release(id) > 0);
  cache.gc({ resetResultCache: true });
}
