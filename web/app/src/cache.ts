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

/**
 * The messages of a conversation that are here: one stretch without a gap, which grows at either end. A page that neither
 * continues nor overlaps it takes its place.
 */
const messages: FieldPolicy<Kept> = {
  keyArgs: false,
  merge(existing, incoming, { readField }) {
    const seq = (node: Reference | undefined) => (node ? (readField<number>('seq', node) ?? 0) : 0);
    const [first, last] = [seq(incoming.nodes[0]), seq(incoming.nodes.at(-1))];
    const [from, to] = [seq(existing?.nodes[0]), seq(existing?.nodes.at(-1))];
    if (!existing?.pageInfo || !incoming.pageInfo || from === 0 || first === 0 || first > to + 1 || last < from - 1) return incoming;
    const before = existing.nodes.slice(0, Math.max(0, first - from)); // seqs have no gaps
    const after = existing.nodes.slice(last - from + 1);
    const [start, end] = [before.length > 0 ? existing.pageInfo : incoming.pageInfo, after.length > 0 ? existing.pageInfo : incoming.pageInfo];
    return {
      ...incoming,
      nodes: [...before, ...incoming.nodes, ...after],
      pageInfo: { ...incoming.pageInfo, hasPreviousPage: start.hasPreviousPage, startCursor: start.startCursor, hasNextPage: end.hasNextPage, endCursor: end.endCursor },
    };
  },
};

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
      Conversation: { fields: { messages, receipts: { keyArgs: false, merge: false }, members: growing(false) } },
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
