import type { ApolloClient } from '@apollo/client';
import { useMemo } from 'react';
import { TypingChangedDocument } from '../gql/graphql';
import { createStore, type Store, useStore } from '../store';
import { useMe, useParley } from '../ui/context';

export interface Typist {
  id: string;
  displayName: string;
}

const nobody: readonly Typist[] = [];
const quiet = createStore(nobody);
const rooms = new WeakMap<ApolloClient, Map<string, Store<readonly Typist[]>>>();

/**
 * Who is typing in a conversation, told for as long as somebody watches: however many do, there is one subscription.
 */
function typing(client: ApolloClient, conversationId: string): Store<readonly Typist[]> {
  const all = rooms.get(client) ?? new Map<string, Store<readonly Typist[]>>();
  rooms.set(client, all);
  const known = all.get(conversationId);
  if (known) return known;
  const store = createStore(nobody);
  let watchers = 0;
  let subscription: { unsubscribe(): void } | undefined;
  const watched: Store<readonly Typist[]> = {
    ...store,
    subscribe(listener) {
      const end = store.subscribe(listener);
      if (watchers++ === 0) {
        subscription = client.subscribe({ query: TypingChangedDocument, variables: { conversationId }, fetchPolicy: 'no-cache' }).subscribe({
          next: ({ data }) => store.set(data?.typingChanged.users ?? nobody),
          error: () => store.set(nobody), // no longer a member
        });
      }
      return () => {
        end();
        if (--watchers > 0) return;
        subscription?.unsubscribe();
        store.set(nobody);
      };
    },
  };
  all.set(conversationId, watched);
  return watched;
}

/**
 * The others who are typing in a conversation now.
 *
 * @param watch false: nobody asks, and it is empty. The server allows 100 subscriptions for each socket.
 */
export function useTyping(conversationId: string, watch = true): readonly Typist[] {
  const { client, live } = useParley();
  const me = useMe();
  // While the way to the server is lost, one subscription looks for it: the one to the events.
  const { status } = useStore(live.connection);
  const users = useStore(watch && status === 'live' ? typing(client, conversationId) : quiet);
  return useMemo(() => (users.length === 0 ? nobody : users.filter((user) => user.id !== me)), [users, me]);
}

/** `Ann is typing`, `Ann and Bob are typing`, `Ann and 2 others are typing`; empty when nobody is. */
export function typingText(users: readonly Typist[]): string {
  const [first, second] = users;
  if (!first) return '';
  if (!second) return `${first.displayName} is typing`;
  return users.length === 2 ? `${first.displayName} and ${second.displayName} are typing` : `${first.displayName} and ${users.length - 1} others are typing`;
}
