// The client of old Apollo and of GraphQL Playground, which speaks the subprotocol that is called graphql-ws.
import { SubscriptionClient } from 'subscriptions-transport-ws';
import WebSocket from 'ws';
import { scenario } from './scenario.mjs';

scenario('subscriptions-transport-ws', ({ ws, token }) => {
  const client = new SubscriptionClient(
    ws,
    { reconnect: true, connectionParams: token ? { authorization: `Bearer ${token}` } : {} },
    WebSocket,
  );
  return {
    execute: (query, variables) =>
      new Promise((resolve, reject) => {
        let result;
        client.request({ query, variables }).subscribe({ next: (r) => (result = r), error: reject, complete: () => resolve(result) });
      }),
    subscribe: (query, variables, sink) => {
      const subscription = client.request({ query, variables }).subscribe(sink);
      return () => subscription.unsubscribe();
    },
    close: () => client.close(),
  };
});
