import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { tap } from 'rxjs';
import WebSocket from 'ws';
import { scenario, soon } from './scenario.mjs';

globalThis.WebSocket ??= WebSocket; // which Node.js has from version 22 on, and GraphQLWsLink asks about

// A subscription that is started again goes on after the last event it delivered.
const resume = new ApolloLink((operation, forward) =>
  forward(operation).pipe(
    tap(({ data }) => {
      const { cursor } = Object.values(data ?? {})[0] ?? {};
      if (cursor) operation.variables.after = cursor;
    }),
  ),
);

scenario('@apollo/client', ({ http, ws, token }) => {
  const headers = token && { authorization: `Bearer ${token}` };
  const socket = createClient({
    url: ws,
    webSocketImpl: WebSocket,
    connectionParams: headers,
    retryAttempts: Infinity,
    shouldRetry: () => true, // also when nobody answers, which is otherwise taken for final
    retryWait: soon,
  });
  const client = new ApolloClient({
    cache: new InMemoryCache({ possibleTypes: { Event: ['CaughtUp', 'ConversationCreated', 'MessageAdded'] } }),
    defaultOptions: { query: { errorPolicy: 'all' }, mutate: { errorPolicy: 'all' } },
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      resume.concat(new GraphQLWsLink(socket)),
      new HttpLink({ uri: http, headers }),
    ),
  });
  return {
    async execute(text, variables) {
      const document = gql(text);
      const { data, error } =
        document.definitions[0].operation === 'mutation'
          ? await client.mutate({ mutation: document, variables })
          : await client.query({ query: document, variables, fetchPolicy: 'network-only' });
      return { data, errors: error?.errors ?? (error && [error]) };
    },
    subscribe(text, variables, sink) {
      const subscription = client
        .subscribe({ query: gql(text), variables: { ...variables }, errorPolicy: 'all' })
        .subscribe({ ...sink, next: ({ data, error }) => sink.next({ data, errors: error && [error] }) });
      return () => subscription.unsubscribe();
    },
    close: () => Promise.all([client.clearStore(), socket.dispose()]),
  };
});
